/** Parts of a page, each with an address of its own. */

export interface Tab {
  readonly name: string;
  readonly address: string;
  readonly current: boolean;
}

export function Tabs({ label, tabs }: { label: string; tabs: readonly Tab[] }) {
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map(({ name, address, current }) => (
        <a key={address} href={address} aria-current={current ? "page" : undefined}>
          {name}
        </a>
      ))}
    </nav>
  );
}
