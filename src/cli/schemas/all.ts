// Every schema under the name that `lunctl schema` takes: the command's, or what else --json can print.
import type * as v from 'valibot';
import { chapClear, chapSetup, chapShow, chapTest } from './chap.js';
import { completion } from './completion.js';
import { configCheck, configShim, configShow, configUnit } from './config.js';
import { demo } from './demo.js';
import { discoveryDelete, discoveryList, discoverySendtargets, discoverySet, discoveryShow } from './discovery.js';
import {
  diskFormat,
  diskGrow,
  diskLabel,
  diskList,
  diskMount,
  diskPartition,
  diskProvision,
  diskUnmount,
  diskWipe,
} from './disk.js';
import { doctor } from './doctor.js';
import { errorDocument } from './error.js';
import { ifaceDelete, ifaceList, ifaceNew, ifaceSet, ifaceShow } from './iface.js';
import {
  lunAttach,
  lunClear,
  lunCompareAndWrite,
  lunDetach,
  lunList,
  lunMap,
  lunPreempt,
  lunRegister,
  lunRelease,
  lunReservations,
  lunReserve,
  lunShow,
  sessionRescan,
} from './lun.js';
import { nbd } from './nbd.js';
import {
  nodeDelete,
  nodeList,
  nodeLogin,
  nodeLogout,
  nodeNew,
  nodePrune,
  nodeSet,
  nodeShow,
  sessionLogout,
} from './node.js';
import { schema } from './schema.js';
import { serve, serveEvent } from './serve.js';
import { sessionShow } from './session.js';
import { sessionStats } from './session-stats.js';
import {
  targetClearconfig,
  targetExplainAuth,
  targetGrow,
  targetMetrics,
  targetRestoreconfig,
  targetSaveconfig,
  targetSessions,
} from './target.js';
import { targetCreate, targetDelete, targetGet, targetInfo, targetLs, targetSet } from './target-tree.js';

export const SCHEMAS: Readonly<Record<string, v.GenericSchema>> = {
  'chap clear': chapClear,
  'chap setup': chapSetup,
  'chap show': chapShow,
  'chap test': chapTest,
  completion,
  'config check': configCheck,
  'config shim': configShim,
  'config show': configShow,
  'config unit': configUnit,
  demo,
  'discovery delete': discoveryDelete,
  'discovery list': discoveryList,
  'discovery sendtargets': discoverySendtargets,
  'discovery set': discoverySet,
  'discovery show': discoveryShow,
  'disk format': diskFormat,
  'disk grow': diskGrow,
  'disk label': diskLabel,
  'disk list': diskList,
  'disk mount': diskMount,
  'disk partition': diskPartition,
  'disk provision': diskProvision,
  'disk unmount': diskUnmount,
  'disk wipe': diskWipe,
  doctor,
  error: errorDocument,
  'iface delete': ifaceDelete,
  'iface list': ifaceList,
  'iface new': ifaceNew,
  'iface set': ifaceSet,
  'iface show': ifaceShow,
  'lun attach': lunAttach,
  'lun clear': lunClear,
  'lun compare-and-write': lunCompareAndWrite,
  'lun detach': lunDetach,
  'lun list': lunList,
  'lun map': lunMap,
  'lun preempt': lunPreempt,
  'lun register': lunRegister,
  'lun release': lunRelease,
  'lun reservations': lunReservations,
  'lun reserve': lunReserve,
  'lun show': lunShow,
  nbd,
  'node delete': nodeDelete,
  'node list': nodeList,
  'node login': nodeLogin,
  'node logout': nodeLogout,
  'node new': nodeNew,
  'node prune': nodePrune,
  'node set': nodeSet,
  'node show': nodeShow,
  schema,
  serve,
  'serve event': serveEvent,
  'session logout': sessionLogout,
  'session rescan': sessionRescan,
  'session show': sessionShow,
  'session stats': sessionStats,
  'target clearconfig': targetClearconfig,
  'target create': targetCreate,
  'target delete': targetDelete,
  'target explain-auth': targetExplainAuth,
  'target get': targetGet,
  'target grow': targetGrow,
  'target info': targetInfo,
  'target ls': targetLs,
  'target metrics': targetMetrics,
  'target restoreconfig': targetRestoreconfig,
  'target saveconfig': targetSaveconfig,
  'target sessions': targetSessions,
  'target set': targetSet,
};
