/** What is known of one repository's way through the mirror. */
export interface RepositoryRow {
  readonly image: string;
  /** Flux's scan revision that was last published. */
  readonly revision: string;
  readonly sourceTags: number | undefined;
  readonly destinationTags: number | undefined;
  /** Counts of the last event in words: `1 copied, 12 skipped`. */
  readonly lastOutcome: string;
  /** All bytes sent to the destination since the start. */
  readonly movedBytes: number;
  /** From Flux's scan to mirrored, of the last change. */
  readonly lagSeconds: number | undefined;
}

/** Where the view is drawn. */
export interface ViewOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Shows rows as they change. */
export interface View {
  /** Takes a repository's newest state. */
  show(row: RepositoryRow): void;
  /** One line of its own, such as a new tag at the source. */
  note(text: string): void;
  /** Draws no more. */
  close(): void;
}

const headings = ['image', 'revision', 'source', 'mirrored', 'last outcome', 'moved', 'lag'];
/** A terminal is redrawn at most this often, in milliseconds: faster than that nobody reads. */
const redrawMs = 200;
/** Notes kept below the table. */
const keptNotes = 6;

/** A table that redraws itself on a terminal; a line per change elsewhere. */
export function createView(output: ViewOutput): View {
  return output.isTTY === true ? tableView(output) : lineView(output);
}

function lineView(output: ViewOutput): View {
  return {
    show(row) {
      const [image, revision, source, mirrored, outcome, moved, lag] = cells(row);
      output.write(
        `${image}  revision ${revision}  tags ${source} → ${mirrored}  ${outcome}  ${moved} moved` +
          `${row.lagSeconds === undefined ? '' : `  ${lag} after the scan`}\n`,
      );
    },
    note(text) {
      output.write(`${text}\n`);
    },
    close() {
      // Lines need no end.
    },
  };
}

function tableView(output: ViewOutput): View {
  const rows = new Map<string, RepositoryRow>();
  const notes: string[] = [];
  let drawnLines = 0;
  let timer: NodeJS.Timeout | undefined;

  function draw(): void {
    timer = undefined;
    const width = output.columns ?? 80;
    const lines = [...tableLines([...rows.values()], width - 1), '', ...notes].map((line) =>
      line.slice(0, width - 1),
    );
    const up = drawnLines === 0 ? '' : `\u001b[${drawnLines}A`;
    output.write(`${up}\u001b[J${lines.join('\n')}\n`);
    drawnLines = lines.length;
  }

  function drawSoon(): void {
    timer ??= setTimeout(draw, redrawMs);
  }

  return {
    show(row) {
      rows.set(row.image, row);
      drawSoon();
    },
    note(text) {
      notes.push(text);
      if (notes.length > keptNotes) notes.shift();
      drawSoon();
    },
    close() {
      if (timer !== undefined) {
        clearTimeout(timer);
        draw();
      }
    },
  };
}

/** What columns may shrink to on a narrow terminal, in this order: the lag is what people look for. */
const shrinkable = [
  { column: headings.indexOf('revision'), least: 8 },
  { column: headings.indexOf('last outcome'), least: 10 },
  { column: headings.indexOf('image'), least: 12 },
] as const;

/**
 * The table's lines, columns padded to their widest cell.
 * @param width most characters of a line: long columns are cut for it. Default: as wide as they are
 */
export function tableLines(
  rows: readonly RepositoryRow[],
  width = Number.POSITIVE_INFINITY,
): readonly string[] {
  const table = [headings, ...rows.map(cells)];
  const widths = headings.map((_heading, column) =>
    Math.max(...table.map((line) => (line[column] ?? '').length)),
  );
  for (const { column, least } of shrinkable) {
    const over = widths.reduce((sum, each) => sum + each + 2, -2) - width;
    const now = widths[column] ?? 0;
    if (over > 0) widths[column] = Math.max(Math.min(now, least), now - over);
  }
  return table.map((line) =>
    line
      .map((cell, column) =>
        cut(cell, widths[column] ?? 0, column === 0).padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}

/** A cell cut to a width: of an image the end is kept, which tells repositories apart. */
function cut(cell: string, width: number, keepsEnd: boolean): string {
  if (cell.length <= width) return cell;
  return keepsEnd ? `…${cell.slice(cell.length - width + 1)}` : `${cell.slice(0, width - 1)}…`;
}

function cells(row: RepositoryRow): readonly string[] {
  return [
    row.image,
    row.revision.length > 14 ? `${row.revision.slice(0, 13)}…` : row.revision,
    row.sourceTags === undefined ? '-' : String(row.sourceTags),
    row.destinationTags === undefined ? '-' : String(row.destinationTags),
    row.lastOutcome,
    bytesInWords(row.movedBytes),
    row.lagSeconds === undefined ? '-' : `${row.lagSeconds.toFixed(1)} s`,
  ];
}

/** Bytes for a person: `0 B`, `812 B`, `1.3 MiB`. */
export function bytesInWords(sizeBytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = sizeBytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(sizeBytes) / 10), 4);
  const amount = sizeBytes / 1024 ** power;
  return `${power === 0 ? amount : amount.toFixed(1)} ${units[power] ?? 'B'}`;
}
