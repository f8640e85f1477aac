/** Of the Kubernetes client only what is used shall be loaded: it does not say itself that its files do nothing but define classes. */
const partOfKubernetesClient = {
  name: 'part-of-kubernetes-client',
  setup(build) {
    const filter = /^(@kubernetes\/client-node$|\.)/;
    build.onResolve({ filter }, async ({ path, pluginData, ...options }) => {
      const isOurs = path.startsWith('@') || options.resolveDir.includes('@kubernetes/client-node/');
      if (pluginData === partOfKubernetesClient || !isOurs) return undefined;
      const found = await build.resolve(path, { ...options, pluginData: partOfKubernetesClient });
      return { ...found, sideEffects: false };
    });
  },
};

/** How everything of ours is bundled that Node runs: programs, and the packages that tests load. */
export const bundleOptions = {
  bundle: true,
  splitting: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  // Modules of ES lose what nobody uses: of the EC2 client all but three of 700 commands.
  mainFields: ['module', 'main'],
  // Packages that are CommonJS ask for modules of Node by `require`.
  banner: {
    js: "import { createRequire as createRequireOfPackages } from 'node:module'; const require = createRequireOfPackages(import.meta.url);",
  },
  // The names of classes are part of messages and of what Temporal keeps of an error.
  keepNames: true,
  minifyWhitespace: true,
  logLevel: 'error',
  plugins: [partOfKubernetesClient],
};
