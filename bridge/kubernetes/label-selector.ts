/** A label's name, with or without a DNS subdomain before it (Kubernetes, "Labels and selectors"). */
const KEY =
  /^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/;
/** A label's value; it may be empty. */
const VALUE = /^(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?$/;

/**
 * Refuses what is no label selector: requirements separated by commas, each `key`, `!key`,
 * `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key>1` or `key<1`.
 * The empty text selects everything.
 * @throws Error saying which requirement is wrong
 */
export function requireLabelSelector(selector: string): void {
  if (selector.trim() === '') return;
  for (const requirement of requirementsOf(selector)) {
    if (!isRequirement(requirement.trim())) {
      throw new Error(`wants a label selector; '${requirement.trim()}' is no requirement`);
    }
  }
}

/** Splits at the commas outside parentheses. */
function requirementsOf(selector: string): readonly string[] {
  return selector.split(/,(?![^(]*\))/);
}

function isRequirement(text: string): boolean {
  const set = /^(\S+)\s+(?:in|notin)\s*\(([^()]*)\)$/.exec(text);
  if (set !== null) {
    const [, key = '', values = ''] = set;
    return KEY.test(key) && values.split(',').every((value) => VALUE.test(value.trim()));
  }
  const absent = /^!\s*(\S+)$/.exec(text);
  if (absent !== null) return KEY.test(absent[1] ?? '');
  const compared = /^([^\s=!<>]+)\s*(==|=|!=|>|<)\s*(\S*)$/.exec(text);
  if (compared === null) return KEY.test(text);
  const [, key = '', operator = '', value = ''] = compared;
  const right = operator === '>' || operator === '<' ? /^-?\d+$/ : VALUE;
  return KEY.test(key) && right.test(value);
}
