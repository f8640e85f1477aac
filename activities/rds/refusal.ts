/** Whether RDS has said that it does not do it: a fault of the request, or throttling. Whatever else came back says nothing. */
export function isRefusal(error: unknown): boolean {
  const { $fault, $metadata } = error as { $fault?: unknown; $metadata?: { httpStatusCode?: number } };
  return $fault === 'client' && ($metadata?.httpStatusCode ?? 0) >= 400 && ($metadata?.httpStatusCode ?? 0) < 500;
}
