/** How long ago something was. Only this is shown anew each second, not what surrounds it. */
import { age } from "../../ui/format";
import { now } from "../../ui/remote";

export function Ago({ time }: { time: string | null | undefined }) {
  const ahead = Date.parse(time ?? "") - now.value;
  // The clock of the page stands still for a second.
  const justNow = ahead > 0 && ahead < 2_000;
  return <>{justNow ? "now" : age(time, now.value)}</>;
}
