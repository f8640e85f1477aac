import { expect, test } from '@jest/globals';
import { releaseParameters } from '../../../domain/version/ami-release.ts';

const eks = '/aws/service/eks/optimized-ami/1.33';
const bottlerocket = '/aws/service/bottlerocket';

test.each([
  [
    'AL2023_x86_64_STANDARD',
    '1.33.4-20260801',
    `${eks}/amazon-linux-2023/x86_64/standard/recommended/release_version`,
    `${eks}/amazon-linux-2023/x86_64/standard/amazon-eks-node-al2023-x86_64-standard-1.33-v20260801/image_id`,
  ],
  [
    'AL2023_ARM_64_NVIDIA',
    '1.33.4-20260801',
    `${eks}/amazon-linux-2023/arm64/nvidia/recommended/release_version`,
    `${eks}/amazon-linux-2023/arm64/nvidia/amazon-eks-node-al2023-arm64-nvidia-1.33-v20260801/image_id`,
  ],
  [
    'AL2_x86_64_GPU',
    '1.33.4-20260801',
    `${eks}/amazon-linux-2-gpu/recommended/release_version`,
    `${eks}/amazon-linux-2-gpu/amazon-eks-gpu-node-1.33-v20260801/image_id`,
  ],
  [
    'BOTTLEROCKET_ARM_64_NVIDIA',
    '1.36.0-0f1c5d6e',
    `${bottlerocket}/aws-k8s-1.33-nvidia/arm64/latest/image_version`,
    `${bottlerocket}/aws-k8s-1.33-nvidia/arm64/1.36.0/image_id`,
  ],
  ['BOTTLEROCKET_x86_64', 'latest', `${bottlerocket}/aws-k8s-1.33/x86_64/latest/image_version`, undefined],
])('AWS says of %s and %s in which parameters', (amiType, release, newest, named) => {
  expect(releaseParameters(amiType, '1.33.2', release)).toEqual({ newest, ...(named !== undefined && { named }) });
});

test.each([
  ['CUSTOM', '1.33'],
  ['WINDOWS_CORE_2022_x86_64', '1.33'],
  ['', '1.33'],
  ['AL2023_x86_64_STANDARD', 'abc'],
])('nothing is said of %s of %s', (amiType, version) => {
  expect(releaseParameters(amiType, version, 'latest')).toBeUndefined();
});
