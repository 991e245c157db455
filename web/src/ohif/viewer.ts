/** What of OHIF and Cornerstone the extension uses; they bring no types to a page that was built without them. */

export type World = readonly [number, number, number]; // patient, mm: left, posterior, superior

export interface DisplaySet {
  readonly StudyInstanceUID: string;
  readonly SeriesInstanceUID: string;
  readonly SeriesDescription?: string;
  readonly imageIds?: readonly string[];
}

export interface Viewport {
  readonly element: HTMLElement;
  readonly type: string;
  canvasToWorld(point: [number, number]): [number, number, number];
  worldToCanvas(point: readonly [number, number, number]): [number, number];
  getCurrentImageId?(): string | undefined;
  getImageIds?(): readonly string[];
  setImageIdIndex?(index: number): unknown;
  getCamera(): { readonly focalPoint: World; readonly position: World; readonly viewPlaneNormal: World };
  setCamera(camera: { focalPoint: World; position: World }): void;
  render(): void;
}

interface Subscription {
  unsubscribe(): void;
}

export interface Announcing {
  readonly EVENTS: Readonly<Record<string, string | undefined>>;
  subscribe(event: string | undefined, heard: (told: Readonly<Record<string, unknown>>) => void): Subscription;
}

export interface Segment {
  readonly segmentIndex: number;
  readonly label: string;
}

export interface Segmentation {
  readonly segments: Readonly<Record<number, Segment | undefined>>;
  readonly representationData: {
    readonly Labelmap?: { readonly imageIds: readonly string[]; readonly referencedImageIds?: readonly string[] };
  };
}

export interface SegmentationService extends Announcing {
  createLabelmapForDisplaySet(
    displaySet: DisplaySet,
    options: { segmentationId: string; label: string; segments: Record<number, unknown> },
  ): Promise<string>;
  addSegmentationRepresentation(viewport: string, options: { segmentationId: string; type: string }): Promise<void>;
  getSegmentation(id: string): Segmentation | undefined;
  getSegmentationRepresentations(viewport: string, options: { segmentationId: string }): readonly unknown[];
  getViewportIdsWithSegmentation(id: string): readonly string[];
  addSegment(id: string, options: { segmentIndex: number; label: string; color: number[]; isLocked: boolean }): void;
  removeSegment(id: string, segment: number, options: { skipRecordingHistory: boolean }): void;
  setSegmentLabel(id: string, segment: number, label: string): void;
  setSegmentColor(viewport: string, id: string, segment: number, colour: number[]): void;
  setActiveSegment(id: string, segment: number): void;
  remove(id: string): void;
}

export interface Services {
  readonly displaySetService: { getDisplaySetByUID(uid: string): DisplaySet | undefined };
  readonly viewportGridService: Announcing & {
    getActiveViewportId(): string | null;
    setActiveViewportId(id: string): void;
    getState(): { readonly viewports: ReadonlyMap<string, { readonly displaySetInstanceUIDs?: readonly string[] }> };
  };
  readonly cornerstoneViewportService: Announcing & { getCornerstoneViewport(id: string): Viewport | null | undefined };
  readonly segmentationService: SegmentationService;
  readonly panelService: Announcing & {
    getPanels(side: string): readonly { readonly name: string }[];
    addPanel(side: string, id: string): void;
  };
}

export interface DataSource {
  readonly store?: { dicom(file: ArrayBuffer): Promise<unknown> };
  getConfig?(): { readonly wadoRoot?: string } | undefined;
}

export interface Managers {
  readonly servicesManager: { readonly services: Services };
  readonly extensionManager: { getActiveDataSource(): readonly DataSource[] };
}

interface Image {
  readonly rows: number;
  readonly columns: number;
  readonly voxelManager: { getScalarData(): Uint8Array };
}

/** Cornerstone, which OHIF puts on its page. */
export interface Page {
  readonly cornerstone: {
    readonly cache: { getImage(id: string): Image | undefined };
    readonly metaData: { get(what: string, id: string): unknown };
  };
  readonly cornerstoneTools: {
    readonly segmentation: {
      readonly triggerSegmentationEvents: {
        triggerSegmentationDataModified(id: string, slices?: readonly number[]): void;
      };
    };
  };
}

export const page = (): Page => window as unknown as Page;

/** A file, and which of its frames: what slices are known by on both sides. */
export type SliceKey = string;

export const sliceKey = (file: string, frame: number): SliceKey => `${file} ${frame}`;

/** Return the file that a picture of OHIF is. */
export function fileOf(imageId: string): string {
  const told = page().cornerstone.metaData.get("instance", imageId) as { SOPInstanceUID?: string } | undefined;
  return told?.SOPInstanceUID ?? /\/instances\/([0-9.]+)/.exec(imageId)?.[1] ?? "";
}

/** Return the key of the slice that a picture of OHIF is; frames are counted from 1. */
export function keyOf(imageId: string): SliceKey {
  const frame = /\/frames\/(\d+)/.exec(imageId)?.[1] ?? /[?&]frame=(\d+)/.exec(imageId)?.[1] ?? "1";
  return sliceKey(fileOf(imageId), Number(frame));
}

/** Return the viewports that show slices of a series, by their names. */
export function showing(services: Services, isWanted: (displaySet: DisplaySet) => boolean): Map<string, Viewport> {
  const found = new Map<string, Viewport>();
  for (const [id, { displaySetInstanceUIDs = [] }] of services.viewportGridService.getState().viewports) {
    const sets = displaySetInstanceUIDs.map((uid) => services.displaySetService.getDisplaySetByUID(uid));
    if (!sets.some((one) => one !== undefined && isWanted(one))) continue;
    const viewport = services.cornerstoneViewportService.getCornerstoneViewport(id);
    if (viewport && !viewport.type.toLowerCase().includes("3d")) found.set(id, viewport);
  }
  return found;
}

/** True for a viewport that shows the slices of a series one by one; others cut through the volume that these are. */
export const isStack = (viewport: Viewport): boolean => viewport.type === "stack";

/** Return the series that the active viewport shows, with the picture that is seen now. */
export function displayed(services: Services): { displaySet: DisplaySet; imageId: string } | null {
  const id = services.viewportGridService.getActiveViewportId();
  const uids =
    id === null ? [] : (services.viewportGridService.getState().viewports.get(id)?.displaySetInstanceUIDs ?? []);
  for (const uid of uids) {
    const displaySet = services.displaySetService.getDisplaySetByUID(uid);
    const images = displaySet?.imageIds ?? [];
    if (displaySet === undefined || images.length === 0) continue;
    const seen = services.cornerstoneViewportService.getCornerstoneViewport(id!)?.getCurrentImageId?.();
    const middle = images[Math.floor(images.length / 2)];
    return { displaySet, imageId: seen !== undefined && images.includes(seen) ? seen : middle };
  }
  return null;
}
