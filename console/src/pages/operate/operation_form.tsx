/** The fields of the body of an operation, with everything that the server says about them. */
import type { ApiError } from "../../api/errors";
import type { Operation } from "../../api/types";
import { type Contract, contract } from "../../forms/contract";
import type { Values } from "../../forms/fields";
import { SchemaForm } from "../../forms/form";
import { FormError } from "../../forms/form_error";
import { Loaded } from "../../ui/feedback";
import { useRemote } from "../../ui/remote";

export interface OperationFormProps {
  readonly operation: Operation;
  readonly hidden?: readonly string[];
  readonly value: Values;
  readonly onChange: (value: Values) => void;
  readonly error: ApiError | undefined;
}

export function OperationForm(props: OperationFormProps) {
  const remote = useRemote("contract", contract);
  return <Loaded remote={remote}>{(loaded) => <Fields {...props} contract={loaded} />}</Loaded>;
}

function Fields({
  operation,
  hidden,
  value,
  onChange,
  error,
  contract: { reader, bodyOf },
}: OperationFormProps & { contract: Contract }) {
  const schema = reader.resolve(bodyOf(operation));
  const names = Object.keys(schema.properties ?? {});
  return (
    <>
      {error !== undefined && <FormError error={error} names={names} />}
      <SchemaForm
        reader={reader}
        schema={schema}
        value={value}
        onChange={onChange}
        violations={error?.violations ?? []}
        hidden={hidden ?? []}
      />
    </>
  );
}
