import { lookup as systemLookup, type LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';

import ipaddr from 'ipaddr.js';

import { MirrorError, printable } from '../errors.ts';

/** Which addresses that are not public may be spoken to. */
export interface AddressRules {
  /** Hosts (with port where they have one) that an operator named: private and loopback addresses too. */
  readonly privateHosts: ReadonlySet<string>;
  /** Any host may be at a loopback address: everything runs on one machine. */
  readonly loopback: boolean;
}

/** Why an address is refused. */
export type AddressRefusal = 'Unreadable' | 'Never' | 'Private' | 'Loopback';

/**
 * Instance metadata of clouds beyond 169.254/16: AWS and Google over IPv6, Azure's wire server,
 * Alibaba's. Whoever reads there holds the service account's token.
 */
const METADATA = new Set(['fd00:ec2::254', 'fd20:ce::254', '168.63.129.16', '100.100.100.200']);
/** Ranges that no registry is in, whoever names it. */
const NEVER = new Set(['linkLocal', 'unspecified', 'broadcast', 'multicast', 'reserved']);
const PRIVATE = new Set(['private', 'uniqueLocal', 'carrierGradeNat']);
/** What is judged by name; every other range (tunnels, documentation, benchmarks) is no registry's. */
const KNOWN = new Set(['unicast', 'loopback', ...PRIVATE]);

/**
 * Judges one IP address of a host: global unicast is allowed, metadata and link-local never,
 * private and loopback where the rules say so. IPv4 within IPv6 (mapped, NAT64) is judged as IPv4.
 * @param host as in the URL, with port where it has one
 * @returns undefined where it is allowed
 */
export function judgeAddress(
  address: string,
  host: string,
  rules: AddressRules,
): AddressRefusal | undefined {
  if (!ipaddr.isValid(address)) return 'Unreadable';
  const parsed = innermost(ipaddr.process(address));
  const range = parsed.range();
  // guard: address-metadata
  if (METADATA.has(parsed.toString())) return 'Never';
  // guard: address-never
  if (NEVER.has(range)) return 'Never';
  if (rules.privateHosts.has(host)) return undefined;
  // guard: address-loopback
  if (range === 'loopback' && !rules.loopback) return 'Loopback';
  // guard: address-private
  if (PRIVATE.has(range)) return 'Private';
  // guard: address-unicast
  if (!KNOWN.has(range)) return 'Private';
  return undefined;
}

/**
 * Refuses a URL whose host is an address that may not be spoken to. The URL must come from the
 * WHATWG parser, which turns `2130706433` and `0x7f.1` into `127.0.0.1`; no look-up happens for these.
 * @throws MirrorError `ADDRESS_REFUSED`
 */
export function checkLiteral(url: URL, rules: AddressRules): void {
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (!ipaddr.isValid(literal)) return;
  const refusal = judgeAddress(literal, url.host, rules);
  // guard: address-literal
  if (refusal !== undefined) throw refused(url.host, refusal);
}

/**
 * Refuses a connection whose other end may not be spoken to, whatever led there.
 * @param address the socket's `remoteAddress`
 * @throws MirrorError `ADDRESS_REFUSED`
 */
export function checkConnected(
  address: string | undefined,
  host: string,
  rules: AddressRules,
): void {
  const refusal = judgeAddress(address ?? '', host, rules);
  // guard: address-connected
  if (refusal !== undefined) throw refused(host, refusal);
}

/** Resolves a name to all its addresses; the system's resolver by default. */
export type Resolve = (
  hostname: string,
  done: (error: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void,
) => void;

/**
 * A look-up for one host that refuses the name where any of its addresses is refused: a name with a
 * public and a private address is an attack or a mistake.
 */
export function guardedLookup(
  host: string,
  rules: AddressRules,
  resolve: Resolve = systemResolve,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, (error, addresses) => {
      if (error !== null) {
        callback(error, '', 0);
        return;
      }
      const allowed = addressesOrError(host, addresses, rules);
      if (allowed instanceof MirrorError) {
        callback(allowed, '', 0);
        return;
      }
      if (options.all === true) {
        callback(null, [...addresses]);
        return;
      }
      const [first] = addresses;
      callback(null, first?.address ?? '', first?.family ?? 4);
    });
  };
}

function addressesOrError(
  host: string,
  addresses: readonly LookupAddress[],
  rules: AddressRules,
): readonly LookupAddress[] | MirrorError {
  const refusal = addresses
    .map(({ address }) => judgeAddress(address, host, rules))
    .find((found) => found !== undefined);
  // guard: address-lookup
  if (refusal !== undefined) return refused(host, refusal);
  return addresses;
}

function systemResolve(hostname: string, done: Parameters<Resolve>[1]): void {
  systemLookup(hostname, { all: true }, done);
}

/** The IPv4 address within a NAT64 address (RFC 6052, `64:ff9b::/96`): what is really spoken to. */
function innermost(address: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4 | ipaddr.IPv6 {
  if (address.kind() !== 'ipv6' || address.range() !== 'rfc6052') return address;
  return ipaddr.fromByteArray(address.toByteArray().slice(12));
}

function refused(host: string, refusal: AddressRefusal): MirrorError {
  const words: Record<AddressRefusal, string> = {
    Unreadable: 'an unreadable address',
    Never: 'an address that no registry may have',
    Private: 'a private address',
    Loopback: 'a loopback address',
  };
  return new MirrorError('ADDRESS_REFUSED', `${printable(host)} is at ${words[refusal]}`, {
    operation: 'connect',
  });
}
