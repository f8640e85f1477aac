import { defaultGrpcRetryOptions, makeGrpcRetryInterceptor, type ConnectionOptions } from '@temporalio/client';

type Interceptor = NonNullable<ConnectionOptions['interceptors']>[number];
type Call = ReturnType<Interceptor>;

/** CANCELLED of gRPC. */
const cancelledCode = 1;

/**
 * Ends a call as cancelled where its connection has been closed. The SDK tries calls again from a timer; where somebody has closed the
 * connection meanwhile, gRPC throws there, which nobody can catch and which ends the process.
 */
const endWhenClosed: Interceptor = (options, nextCall) => {
  try {
    return nextCall(options) as Call;
  } catch (error) {
    const details = error instanceof Error ? error.message : String(error);
    const nothing = (): void => undefined;
    const start: Call['start'] = (metadata, listener) => {
      listener?.onReceiveMessage?.(null);
      listener?.onReceiveStatus?.({ code: cancelledCode, details, metadata });
    };
    const call: Partial<Call> = { start, sendMessage: nothing, sendMessageWithContext: nothing, halfClose: nothing, startRead: nothing };
    return { ...call, cancelWithStatus: nothing, getPeer: () => '', getAuthContext: () => null } as unknown as Call;
  }
};

/** What calls go through, from the outside: as the SDK has it, tried again where that helps; ended where the connection is closed. */
export const interceptors: Interceptor[] = [makeGrpcRetryInterceptor(defaultGrpcRetryOptions()), endWhenClosed];
