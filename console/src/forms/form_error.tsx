/** An error of the server without what the fields of a form show already. */
import { ApiError } from "../api/errors";
import { ErrorBox } from "../ui/feedback";
import { unplaced } from "./violations";

export function FormError({ error, names }: { error: ApiError; names: readonly string[] }) {
  const { status, code, message, violations, requestId } = error;
  const rest = unplaced(violations, names);
  if (violations.length > 0 && rest.length === 0) return null;
  return <ErrorBox error={new ApiError(status, code, message, rest, requestId)} />;
}
