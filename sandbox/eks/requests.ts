import * as z from 'zod';
import { invalidParameter, type ErrorSubject } from './errors.ts';
import { limits } from './model.ts';

const amiTypes = [
  'AL2_x86_64',
  'AL2_x86_64_GPU',
  'AL2_ARM_64',
  'AL2023_x86_64_STANDARD',
  'AL2023_ARM_64_STANDARD',
  'AL2023_x86_64_NEURON',
  'AL2023_x86_64_NVIDIA',
  'AL2023_ARM_64_NVIDIA',
  'BOTTLEROCKET_ARM_64',
  'BOTTLEROCKET_x86_64',
  'BOTTLEROCKET_ARM_64_FIPS',
  'BOTTLEROCKET_x86_64_FIPS',
  'BOTTLEROCKET_ARM_64_NVIDIA',
  'BOTTLEROCKET_x86_64_NVIDIA',
] as const;

const size = z.int().min(0).max(limits.nodesPerNodegroup);
const token = z.string().min(1).max(64).optional();
const labels = z.record(
  z
    .string()
    .min(1)
    .max(63 + 253 + 1),
  z.string().max(63),
);
const tags = z.record(z.string().min(1).max(128), z.string().max(256));
const taint = z.object({
  key: z
    .string()
    .min(1)
    .max(63 + 253 + 1),
  value: z.string().max(63).optional(),
  effect: z.enum(['NO_SCHEDULE', 'NO_EXECUTE', 'PREFER_NO_SCHEDULE']),
});
const taints = z.array(taint).max(50);

const updateConfig = z
  .object({
    maxUnavailable: z.int().min(1).max(limits.nodesUpdatedAtOnce).optional(),
    maxUnavailablePercentage: z.int().min(1).max(100).optional(),
    updateStrategy: z.enum(['DEFAULT', 'MINIMAL']).optional(),
  })
  .refine((config) => config.maxUnavailable === undefined || config.maxUnavailablePercentage === undefined, {
    error: 'maxUnavailable and maxUnavailablePercentage cannot be specified together',
  });

/** Body of CreateNodegroup. */
export const createNodegroupBody = z.object({
  nodegroupName: z
    .string()
    .max(63)
    .regex(/^[0-9A-Za-z][A-Za-z0-9\-_]*$/, 'The nodegroup name has invalid characters'),
  scalingConfig: z.object({ minSize: size, maxSize: size.min(1), desiredSize: size }).default({ minSize: 1, maxSize: 2, desiredSize: 2 }),
  diskSize: z.int().min(1).max(16_384).default(20),
  subnets: z.array(z.string()).min(1, 'Subnets are not specified').max(16),
  instanceTypes: z.array(z.string().min(1)).max(20).default([]),
  amiType: z.enum(amiTypes).default('AL2023_x86_64_STANDARD'),
  nodeRole: z.string().regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/, 'The role ARN is invalid'),
  labels: labels.default({}),
  taints: taints.default([]),
  tags: tags.default({}),
  clientRequestToken: token,
  updateConfig: updateConfig.default({ maxUnavailable: 1 }),
  capacityType: z.enum(['ON_DEMAND', 'SPOT', 'CAPACITY_BLOCK']).default('ON_DEMAND'),
  version: z.string().optional(),
  releaseVersion: z.string().optional(),
});

/** Body of UpdateNodegroupConfig. */
export const updateNodegroupConfigBody = z.object({
  labels: z.object({ addOrUpdateLabels: labels.optional(), removeLabels: z.array(z.string()).max(50).optional() }).optional(),
  taints: z.object({ addOrUpdateTaints: taints.optional(), removeTaints: taints.optional() }).optional(),
  scalingConfig: z.object({ minSize: size.optional(), maxSize: size.min(1).optional(), desiredSize: size.optional() }).optional(),
  updateConfig: updateConfig.optional(),
  clientRequestToken: token,
});

/** Body of UpdateNodegroupVersion. */
export const updateNodegroupVersionBody = z.object({
  version: z.string().optional(),
  releaseVersion: z.string().optional(),
  force: z.boolean().default(false),
  clientRequestToken: token,
});

/** Body of UpdateClusterVersion. */
export const updateClusterVersionBody = z.object({
  version: z.string(),
  force: z.boolean().default(false),
  rollbackConfig: z.object({ timeoutMinutes: z.int().min(120).max(10_080).optional() }).optional(),
  clientRequestToken: token,
});

/** Body of CreateCertificateAuthority and ActivateCertificateAuthority. */
export const certificateAuthorityBody = z.object({ clientRequestToken: token });

/** Body of UpdateAddon. */
export const updateAddonBody = z.object({
  addonVersion: z.string().optional(),
  serviceAccountRoleArn: z.string().max(255).optional(),
  resolveConflicts: z.enum(['NONE', 'OVERWRITE', 'PRESERVE']).default('NONE'),
  configurationValues: z.string().optional(),
  clientRequestToken: token,
});

/** Body of ListInsights. */
export const listInsightsBody = z.object({
  filter: z
    .object({
      categories: z.array(z.string()).optional(),
      kubernetesVersions: z.array(z.string()).optional(),
      statuses: z.array(z.string()).optional(),
    })
    .optional(),
  maxResults: z.int().min(1).max(limits.pageSize).optional(),
  nextToken: z.string().optional(),
});

/** Body of TagResource. */
export const tagResourceBody = z.object({ tags });

/**
 * Reads a body; fields that the sandbox does not know are passed over.
 * @throws EksError InvalidParameterException, naming the field.
 */
export function readBody<Body>(schema: z.ZodType<Body>, body: unknown, subject?: ErrorSubject): Body {
  const result = schema.safeParse(body ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw invalidParameter(`${issue?.path.join('.') ?? 'body'}: ${issue?.message ?? 'invalid'}`, subject);
}
