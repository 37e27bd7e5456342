// Every schema under the name that `lunctl schema` takes: the command's, or what else --json can print.
import type * as v from 'valibot';
import { configUnit } from './config.js';
import { demo } from './demo.js';
import { discoveryList, discoverySendtargets } from './discovery.js';
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
import { errorDocument } from './error.js';
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
import { nodeList, nodeLogin, nodeLogout, nodeShow, sessionLogout } from './node.js';
import { schema } from './schema.js';
import { serve, serveEvent } from './serve.js';
import { sessionShow } from './session.js';
import { sessionStats } from './session-stats.js';

export const SCHEMAS: Readonly<Record<string, v.GenericSchema>> = {
  'config unit': configUnit,
  demo,
  'discovery list': discoveryList,
  'discovery sendtargets': discoverySendtargets,
  'disk format': diskFormat,
  'disk grow': diskGrow,
  'disk label': diskLabel,
  'disk list': diskList,
  'disk mount': diskMount,
  'disk partition': diskPartition,
  'disk provision': diskProvision,
  'disk unmount': diskUnmount,
  'disk wipe': diskWipe,
  error: errorDocument,
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
  'node list': nodeList,
  'node login': nodeLogin,
  'node logout': nodeLogout,
  'node show': nodeShow,
  schema,
  serve,
  'serve event': serveEvent,
  'session logout': sessionLogout,
  'session rescan': sessionRescan,
  'session show': sessionShow,
  'session stats': sessionStats,
};
