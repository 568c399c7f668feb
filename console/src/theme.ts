/** Light or dark: what the system says, unless the user chooses. */
import { signal } from "@preact/signals";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "pdp.theme";

export const theme = signal<Theme>(read());

export function chooseTheme(choice: Theme): void {
  theme.value = choice;
  localStorage.setItem(KEY, choice);
  applyTheme();
}

export function applyTheme(): void {
  document.documentElement.dataset["theme"] = theme.value;
}

function read(): Theme {
  const stored = localStorage.getItem(KEY);
  return THEMES.find((one) => one === stored) ?? "system";
}
