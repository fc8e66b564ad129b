import type { Verify } from '../contract/event.ts';
import type { Selection } from '../contract/selection.ts';
import type { BackupTag } from './backup-tag.ts';
import type { Platforms } from './platforms.ts';

/** How repositories are mirrored, for all events of a process. */
export interface MirrorOptions {
  /**
   * `TAG_WORKERS`: tags of one repository whose blobs wait for streams at once, 1 or more; three times as many are
   * under way in all. Default 4.
   */
  readonly tagWorkers: number;
  /** Tells what would be done; nothing is changed. Default false. */
  readonly dryRun: boolean;
  /** `ON_DRIFT`: `report` never moves an existing tag. Default `overwrite`. */
  readonly onDrift: 'overwrite' | 'report';
  /** `BACKUP_TAG`: keeps what an overwritten tag pointed at; undefined: nothing does. */
  readonly backupTag?: BackupTag | undefined;
  /** `PLATFORMS`: what is brought of an index where the event does not say; undefined: everything. */
  readonly platforms?: Platforms | undefined;
  /** `REFERRERS`: signatures and referrers follow their subject. Default true. */
  readonly referrers: boolean;
  /** `MAX_MISSING_TAGS`: the brake; 0: none. Default 1000. */
  readonly maxMissingTags: number;
  /** `VERIFY_TAGS`: which existing tags are compared. Default `mutable`. */
  readonly verifyTags: Verify;
  /** `RESYNC_VERIFY`: the same, for the reason `resync`. Default `mutable`. */
  readonly resyncVerify: Verify;
  /** `MUTABLE_TAGS`: RE2 pattern of the tags that look movable; empty: none does. */
  readonly mutableTags: string;
  /** `MIRROR_INCLUDE` and its like: what is selected where the event does not say. */
  readonly selection: Selection;
}
