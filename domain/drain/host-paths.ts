/** Paths of the machine itself, which every node has. */
const machinePaths =
  /^\/(?:$|(?:etc|dev|proc|sys|run|boot|usr|lib|lib64|bin|sbin|var\/(?:run|log|lib\/(?:kubelet|docker|containerd|cni)))(?:\/|$))/;

/** Whether a path of a node may hold data of pods, as far as it tells: paths of the machine itself hold the same on every node. */
export function mayHoldData(path: string): boolean {
  return !machinePaths.test(path);
}
