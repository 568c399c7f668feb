/** The filter above a list: a field for words, and what matches them. */

export interface FilterFieldProps {
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly placeholder?: string;
}

export function FilterField({ value, onChange, placeholder = "" }: FilterFieldProps) {
  return (
    <label>
      Filter
      <input
        type="search"
        autocomplete="off"
        spellcheck={false}
        placeholder={placeholder}
        value={value}
        onInput={(event) => onChange(event.currentTarget.value)}
      />
    </label>
  );
}

/** Returns whether a text in lower case has all words of a filter. */
export function wordMatcher(filter: string): (lowerCase: string) => boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return (lowerCase) => words.every((word) => lowerCase.includes(word));
}
