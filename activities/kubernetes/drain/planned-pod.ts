import { kinds, viewedAs } from '../client/kinds.ts';
import { sharedValue } from '../client/shared-values.ts';
import type { PodView } from '../../../domain/drain/pod.ts';
import { placementNeeds, type PlacementNeeds } from './placement-view.ts';
import { trafficTraits, type TrafficTraits } from './traffic-view.ts';
import { podView } from './view.ts';

/** A pod as a plan keeps it: as it is on the wire, those of a large cluster would take more memory than there is. */
export interface PlannedPod {
  view: PodView;
  needs: PlacementNeeds;
  traffic: TrafficTraits;
}

/** The pods of a cluster as a plan keeps them. */
export const plannedPodKind = viewedAs(kinds.pods, (pod): PlannedPod => ({
  view: podView(pod),
  needs: sharedValue(placementNeeds(pod)),
  traffic: trafficTraits(pod),
}));
