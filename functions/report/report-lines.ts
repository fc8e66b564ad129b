import { printable, type MirrorError } from '../errors.ts';
import { unlistedWords } from '../mirror/report.ts';
import {
  leftAsideReason,
  OUTCOMES,
  type LeftAsideReason,
  type TagRecord,
} from '../mirror/outcome.ts';
import {
  isFailed,
  totalCounts,
  totalPlatformsLeftOut,
  type RepositoryResult,
  type RunResult,
} from './report-document.ts';

/** The longest outcome's length, so that image names stand in one column. */
const OUTCOME_WIDTH = Math.max(...OUTCOMES.map(({ length }) => length));

/** Why something stays behind, in words. */
const LEFT_ASIDE_WORDS: Readonly<Record<LeftAsideReason, string>> = {
  TagInvalid: 'its name breaks the grammar of tags, nobody can ask for it',
  SubjectUnchanged: 'it belongs to an image that was not to be followed',
  SubjectNotMirrored: 'it belongs to an image that is not mirrored',
  NotAsked: 'too many to ask about are named after a digest',
  ReferrersRefused: 'the source does not say what refers to the image',
  ReferrersTagRefused: 'the destination keeps no list of what refers to the image',
  BackupTag: 'it has the name of a backup',
  ForeignLayers: 'layers of it lie elsewhere, at addresses that its manifest names',
};

/** One tag's line: `copied  ghcr.io/org/app:1.0  12.4 MB in 0.8 s`. */
export function tagLine(image: string, record: TagRecord): string {
  const { outcome, fault, bytesUploaded, durationMs } = record;
  const head = `${outcome.padEnd(OUTCOME_WIDTH)}  ${image}:${printable(record.tag)}`;
  if (fault !== undefined) return `${head}  ${faultText(fault)}`;
  const aside = leftAsideReason(record);
  if (aside !== undefined) return `${head}  left aside: ${LEFT_ASIDE_WORDS[aside]}`;
  const moved =
    bytesUploaded === 0 ? '' : `  ${bytesText(bytesUploaded)} in ${secondsText(durationMs)}`;
  return `${head}${moved}${platformsText(record)}`;
}

function platformsText({ platformsLeftOut, noPlatformMatched }: TagRecord): string {
  if (platformsLeftOut !== undefined) return `  ${leftOutText(platformsLeftOut)}`;
  return noPlatformMatched === true ? '  whole: it is for none of the wanted platforms' : '';
}

function leftOutText(count: number): string {
  return `${count} ${count === 1 ? 'platform' : 'platforms'} left out`;
}

/** One repository's line, after its tags. */
export function repositoryLine({ image, report, fault, durationMs }: RepositoryResult): string {
  const time = `in ${secondsText(durationMs)}`;
  if (fault !== undefined) return `${image}: ${faultText(fault)}`;
  if (report === undefined) return `${image}: nothing was done`;
  if (report.ending === 'source-lost') return `${image}: the source has no such repository`;
  const { held, missing, maxMissingTags } = report.brake;
  const brake =
    held === 0 ? '' : `, ${held} held: ${missing} are missing, the brake is at ${maxMissingTags}`;
  const aside = report.leftAside === 0 ? '' : `, ${report.leftAside} left aside`;
  const unlisted = unlistedWords(report)
    .map((words) => `, ${words}`)
    .join('');
  return (
    `${image} → ${report.destination}: ${report.selectedTagCount} of ` +
    `${report.sourceTagCount} tags selected${brake}${aside}${unlisted}, ${bytesText(report.bytesUploaded)} ${time}`
  );
}

/** The last line of a run: its figures. */
export function summaryLines(run: RunResult): readonly string[] {
  const counts = totalCounts(run.repositories);
  const words = OUTCOMES.filter((outcome) => counts[outcome] > 0).map(
    (outcome) => `${counts[outcome]} ${outcome}`,
  );
  const leftAside = run.repositories.reduce((sum, { report }) => sum + (report?.leftAside ?? 0), 0);
  if (leftAside > 0) words.push(`${leftAside} of the skipped left aside`);
  const bytes = run.repositories.reduce((sum, { report }) => sum + (report?.bytesUploaded ?? 0), 0);
  const leftOut = totalPlatformsLeftOut(run.repositories);
  const failed = run.repositories.filter(isFailed).length;
  const total = run.repositories.length;
  const durationMs = run.finishedAt.getTime() - run.startedAt.getTime();
  return [
    `${total} ${total === 1 ? 'repository' : 'repositories'}` +
      (failed === 0 ? '' : ` (${failed} with failures)`) +
      `: ${words.length === 0 ? 'no tags' : words.join(', ')}; ` +
      `${bytesText(bytes)} in ${secondsText(durationMs)}` +
      (leftOut === 0 ? '' : `; ${leftOutText(leftOut)}`),
  ];
}

/** `NETWORK at the source, list tags: connection refused (https://…)`. */
function faultText({ code, side, operation, message, url }: MirrorError): string {
  const where = [
    ...(side === undefined ? [] : [` at the ${side}`]),
    ...(operation === undefined ? [] : [`, ${operation}`]),
  ].join('');
  const at = url === undefined || message.includes(url) ? '' : ` (${url})`;
  return `${code}${where}: ${printable(message)}${at}`;
}

/** Bytes for a person, in powers of 1000 as registries and disks count. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit] ?? ''}`;
}

function secondsText(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
