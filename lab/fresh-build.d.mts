export const buildDirectory: string;
export const buildMarker: string;
export function hasFreshBuild(): boolean;
