import { createHash } from 'node:crypto';

import { isObject, textAt, type Json } from './json.ts';
import { disabled, invalid, notFound, Refusal } from './refusal.ts';

/** Who has which role on a resource. https://cloud.google.com/iam/docs/reference/rest/v1/Policy */
export interface Policy {
  readonly etag: string;
  readonly bindings: readonly Binding[];
}

/** One role and its members. */
export interface Binding {
  readonly role: string;
  readonly members: readonly string[];
}

/** Agents that a product makes of itself: at once with its API, or with its first resource in a project. */
const AGENTS: Readonly<
  Record<string, { readonly domain: string; readonly when: 'enabled' | 'used' }>
> = {
  'artifactregistry.googleapis.com': { domain: 'gcp-sa-artifactregistry', when: 'used' },
  'pubsub.googleapis.com': { domain: 'gcp-sa-pubsub', when: 'used' },
  'run.googleapis.com': { domain: 'serverless-robot-prod', when: 'enabled' },
  // Only by `gcloud beta services identity create`.
  'secretmanager.googleapis.com': { domain: 'gcp-sa-secretmanager', when: 'used' },
};

/** What the projects hold: resources by full name (`pubsub/projects/P/topics/T`), policies, enabled APIs. */
export class Cloud {
  readonly resources = new Map<string, Json>();
  /** Grants that a new policy lacked, in the order of their going: also those that came back. */
  readonly revoked: string[] = [];
  readonly #policies = new Map<string, Policy>();
  readonly #enabled = new Map<string, Set<string>>();
  readonly #agents = new Set<string>();
  readonly #ids = new Map<string, string>();
  #serial = 0;

  /** A number that no other call gets, of 19 digits. */
  nextNumber(): string {
    this.#serial += 1;
    return String(1_000_000_000_000_000_000n + BigInt(this.#serial));
  }

  /** A project's number: the same for the same id, always. */
  numberOf(project: string): string {
    if (/^[0-9]+$/.test(project)) return project;
    const hash = createHash('sha256').update(project).digest().readUInt32BE(0);
    const number = String(100_000_000_000 + hash);
    this.#ids.set(number, project);
    return number;
  }

  /** The id of a project that may be named by its number. */
  idOf(project: string): string {
    return this.#ids.get(project) ?? project;
  }

  /** APIs that are enabled in a project. */
  enabled(project: string): ReadonlySet<string> {
    const found = this.#enabled.get(this.numberOf(project));
    // What every new project can do: look itself up, and enable more.
    return found ?? new Set(['cloudresourcemanager.googleapis.com', 'serviceusage.googleapis.com']);
  }

  /** Enables an API, which may make its product's agent. */
  enable(project: string, api: string): void {
    this.#enabled.set(this.numberOf(project), new Set([...this.enabled(project), api]));
    if (AGENTS[api]?.when === 'enabled') this.makeAgent(project, api);
  }

  /** Makes a product's agent in a project: `gcloud beta services identity create`. */
  makeAgent(project: string, api: string): void {
    if (AGENTS[api] !== undefined) this.#agents.add(this.agentOf(project, api));
  }

  /** Notes the first resource of a product, which makes its agent. */
  use(project: string, api: string): void {
    if (AGENTS[api]?.when === 'used') this.makeAgent(project, api);
  }

  /** E-mail of a product's agent, whether it exists or not. */
  agentOf(project: string, api: string): string {
    return `service-${this.numberOf(project)}@${AGENTS[api]?.domain ?? 'none'}.iam.gserviceaccount.com`;
  }

  /** Refuses a call to a product whose API is not enabled. */
  requireEnabled(project: string, api: string): void {
    if (this.enabled(project).has(api)) return;
    throw disabled(api, `in project ${this.numberOf(project)} `);
  }

  /** The resource of that name. @throws {Refusal} 404 */
  get(name: string): Json {
    const found = this.resources.get(name);
    if (found === undefined) throw notFound(name);
    return found;
  }

  /** Removes a resource with its policy and what lies below it. */
  delete(name: string): void {
    this.get(name);
    for (const other of this.resources.keys()) {
      if (other === name || other.startsWith(`${name}/`)) {
        this.resources.delete(other);
        this.#policies.delete(other);
      }
    }
  }

  /** The policy of a resource; an empty one where none was set. */
  policy(name: string): Policy {
    return this.#policies.get(name) ?? { etag: 'ACAB', bindings: [] };
  }

  /** Whether a member has any of these roles on a resource. */
  grants(name: string, member: string, ...roles: readonly string[]): boolean {
    return this.policy(name).bindings.some(
      ({ role, members }) => roles.includes(role) && members.includes(member),
    );
  }

  /**
   * Sets a policy as a whole.
   * @throws {Refusal} 409 on an etag that is not the last one; 400 on a service account that is not there.
   */
  setPolicy(name: string, wanted: Json): Policy {
    const before = this.policy(name);
    const etag = textAt(wanted, 'etag');
    if (etag !== '' && etag !== before.etag) {
      throw new Refusal('ABORTED', 'There were concurrent policy changes.');
    }
    const bindings = (Array.isArray(wanted['bindings']) ? wanted['bindings'] : [])
      .filter(isObject)
      .map((binding) => ({
        role: textAt(binding, 'role'),
        members: [...new Set(binding['members'] as readonly string[])].sort(),
      }))
      .filter(({ members }) => members.length > 0);
    for (const { members } of bindings) for (const member of members) this.#requireMember(member);
    const policy = { etag: `BwX${this.nextNumber()}`, bindings };
    const kept = new Set(grantsOf(name, policy));
    this.revoked.push(...grantsOf(name, before).filter((grant) => !kept.has(grant)));
    this.#policies.set(name, policy);
    return policy;
  }

  /** All grants, as `RESOURCE ROLE MEMBER`. */
  allGrants(): readonly string[] {
    return [...this.#policies].flatMap(([name, policy]) => grantsOf(name, policy)).sort();
  }

  #requireMember(member: string): void {
    const email = /^serviceAccount:([^[\]]+)$/.exec(member)?.[1];
    if (email === undefined) {
      if (/^(principal|principalSet|user|group|serviceAccount|deleted|domain):/.test(member))
        return;
      throw invalid(`Invalid member ${member}.`);
    }
    const project = /@(.+)\.iam\.gserviceaccount\.com$/.exec(email)?.[1] ?? '';
    const known = email.startsWith('service-')
      ? this.#agents.has(email)
      : this.resources.has(`iam/projects/${project}/serviceAccounts/${email}`);
    if (!known) throw invalid(`Service account ${email} does not exist.`);
  }

  /** Refuses an encryption key that the product's agent may not use, or that is elsewhere. */
  requireKey(key: string, project: string, api: string, location?: string): void {
    if (key === '') return;
    this.get(`kms/${key}`);
    const where = /\/locations\/([^/]+)\//.exec(key)?.[1] ?? '';
    if (location !== undefined && where !== location) {
      throw invalid(`The key ${key} is in ${where}, the resource in ${location}.`);
    }
    const agent = `serviceAccount:${this.agentOf(project, api)}`;
    if (!this.grants(`kms/${key}`, agent, 'roles/cloudkms.cryptoKeyEncrypterDecrypter')) {
      throw new Refusal('PERMISSION_DENIED', `${agent} may not use the key ${key}.`);
    }
  }

  /** Refuses an account that is not there. */
  requireAccount(email: string): void {
    if (email !== '') this.#requireMember(`serviceAccount:${email}`);
  }
}

/** The grants of a policy, as `RESOURCE ROLE MEMBER`. */
function grantsOf(name: string, { bindings }: Policy): readonly string[] {
  return bindings.flatMap(({ role, members }) =>
    members.map((member) => `${name} ${role} ${member}`),
  );
}

/** The parts of a full name: `projects/p/topics/t` → `{ projects: 'p', topics: 't' }`. */
export function partsOf(name: string): Readonly<Record<string, string>> {
  const words = name.split('/');
  const parts: Record<string, string> = {};
  for (let at = 0; at + 1 < words.length; at += 2) parts[words[at] ?? ''] = words[at + 1] ?? '';
  return parts;
}
