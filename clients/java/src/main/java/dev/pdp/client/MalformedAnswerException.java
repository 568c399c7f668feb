package dev.pdp.client;

import io.grpc.Status;
import java.util.List;

/** The answer of the server is no decision on the request. */
final class MalformedAnswerException extends PdpException {
  private static final long serialVersionUID = 1L;

  MalformedAnswerException(String message) {
    super(Status.Code.INTERNAL, "MALFORMED_ANSWER", message, List.of(), null);
  }
}
