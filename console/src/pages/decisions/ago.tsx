/** How long ago something was. Only this is shown anew each second, not what surrounds it. */
import { age } from "../../ui/format";
import { now } from "../../ui/remote";

export function Ago({ time }: { time: string | null | undefined }) {
  return <>{age(time, now.value)}</>;
}
