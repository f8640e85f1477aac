import { join } from 'node:path';

/** Of the Kubernetes client only what is used shall be loaded: it does not say itself that its files do nothing but define classes. */
const partOfKubernetesClient = {
  name: 'part-of-kubernetes-client',
  setup(build) {
    build.onResolve({ filter: /^@kubernetes\/client-node$/ }, async ({ path, pluginData, ...options }) => {
      if (pluginData === partOfKubernetesClient) return undefined;
      const found = await build.resolve(path, { ...options, pluginData: partOfKubernetesClient });
      return { ...found, sideEffects: false };
    });
    // Its files name each other in full. To ask esbuild where each of them is would take four times as long as the whole build.
    build.onResolve({ filter: /^\.\.?\/.*\.js$/ }, ({ path, resolveDir }) =>
      resolveDir.includes('@kubernetes/client-node/') ? { path: join(resolveDir, path), sideEffects: false } : undefined,
    );
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
