package dev.pdp.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.ProtoUtils;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** A call failed, so there is no decision, and the request must not go out. */
public class PdpException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private static final Metadata.Key<com.google.rpc.Status> DETAILS =
      Metadata.Key.of(
          "grpc-status-details-bin",
          ProtoUtils.metadataMarshaller(com.google.rpc.Status.getDefaultInstance()));

  /** The codes that mean that the server, and not the request, is at fault. */
  private static final Set<Status.Code> UNAVAILABLE =
      EnumSet.of(
          Status.Code.UNAVAILABLE,
          Status.Code.DEADLINE_EXCEEDED,
          Status.Code.UNIMPLEMENTED,
          Status.Code.INTERNAL,
          Status.Code.UNKNOWN,
          Status.Code.CANCELLED,
          Status.Code.DATA_LOSS);

  /** The status of the call. */
  private final Status.Code code;

  /** Why the call failed, for programs. */
  private final String reason;

  private final transient List<FieldViolation> violations;

  PdpException(
      Status.Code code,
      String reason,
      String message,
      List<FieldViolation> violations,
      Throwable cause) {
    super(message, cause);
    this.code = code;
    this.reason = reason;
    this.violations = List.copyOf(violations);
  }

  /**
   * Returns the status of the call.
   *
   * @return the gRPC code
   */
  public Status.Code code() {
    return code;
  }

  /**
   * Returns why the call failed, for programs.
   *
   * @return the reason of the server, for instance {@code INVALID_ARGUMENT}; if no server answered,
   *     the name of the gRPC code, {@code CIRCUIT_OPEN}, {@code TOO_MANY_CALLS}, {@code
   *     MALFORMED_ANSWER} or {@code CLOSED}
   */
  public String reason() {
    return reason;
  }

  /**
   * Returns what is wrong with the fields of the request.
   *
   * @return the violations; empty if the server names none
   */
  public List<FieldViolation> violations() {
    return violations == null ? List.of() : violations;
  }

  /**
   * Returns whether the server, and not the request, is at fault.
   *
   * @return whether it is
   */
  public boolean unavailable() {
    return UNAVAILABLE.contains(code);
  }

  /** Returns the exception that describes why a gRPC call failed. */
  static PdpException of(Throwable error) {
    if (error instanceof PdpException own) {
      return own;
    }
    Metadata trailers = null;
    if (error instanceof StatusRuntimeException failure) {
      trailers = failure.getTrailers();
    } else if (error instanceof StatusException failure) {
      trailers = failure.getTrailers();
    }
    return of(Status.fromThrowable(error), trailers, error);
  }

  private static PdpException of(Status status, Metadata trailers, Throwable cause) {
    String reason = status.getCode().name();
    String message = status.getDescription() == null ? reason : status.getDescription();
    for (Throwable each = status.getCause(); each != null; each = each.getCause()) {
      if (each.getMessage() != null && !message.contains(each.getMessage())) {
        message += ": " + each.getMessage();
      }
    }
    List<FieldViolation> violations = new ArrayList<>();
    com.google.rpc.Status details = details(trailers);
    if (details != null) {
      message = details.getMessage();
      for (Any detail : details.getDetailsList()) {
        try {
          if (detail.is(ErrorInfo.class)) {
            reason = detail.unpack(ErrorInfo.class).getReason();
          } else if (detail.is(BadRequest.class)) {
            detail
                .unpack(BadRequest.class)
                .getFieldViolationsList()
                .forEach(
                    each ->
                        violations.add(
                            new FieldViolation(each.getField(), each.getDescription())));
          }
        } catch (InvalidProtocolBufferException malformed) {
          continue; // The status says enough.
        }
      }
    }
    return new PdpException(status.getCode(), reason, message, violations, cause);
  }

  private static com.google.rpc.Status details(Metadata trailers) {
    if (trailers == null) {
      return null;
    }
    try {
      return trailers.get(DETAILS);
    } catch (RuntimeException malformed) {
      return null;
    }
  }
}
