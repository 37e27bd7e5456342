// Task management (RFC 7143 §4.2.5.2, §11.5, §11.6; SAM-5 §7): an answer means that the tasks have stopped for good.

import {
  emitTaskManagementResponse,
  parseTaskManagementRequest,
  TaskFunction,
  type TaskManagementRequest,
  TaskResponse,
} from '../iscsi/wire/task-management.js';
import { decodeLun, NOT_A_LUN } from '../scsi/lun.js';
import { serialLess } from '../util/serial32.js';
import type { LogicalUnit } from './logical-unit.js';
import type { TargetSession } from './session.js';
import { abortAll } from './task-set.js';

export class TaskManager {
  readonly #session: TargetSession;

  constructor(session: TargetSession) {
    this.#session = session;
  }

  onRequest(b: Buffer, at: number): void {
    const request = parseTaskManagementRequest(b, at);
    const lun = decodeLun(request.lun);
    const unit = lun === NOT_A_LUN ? undefined : this.#session.luns.get(lun)?.unit;
    const answer = (response: number): void => this.#respond(request, response);
    switch (request.function) {
      case TaskFunction.AbortTask:
        this.#abortTask(request, unit, answer);
        return;
      case TaskFunction.AbortTaskSet:
      case TaskFunction.ClearTaskSet:
      case TaskFunction.LogicalUnitReset:
        if (unit === undefined) {
          answer(TaskResponse.LunDoesNotExist);
          return;
        }
        this.#onUnit(request.function, unit, () => answer(TaskResponse.Complete));
        return;
      case TaskFunction.TargetWarmReset:
      case TaskFunction.TargetColdReset:
        this.#resetTarget(request, answer);
        return;
      case TaskFunction.TaskReassign:
        answer(TaskResponse.ReassignmentNotSupported);
        return;
      default:
        answer(TaskResponse.FunctionNotSupported);
        return;
    }
  }

  #abortTask(request: TaskManagementRequest, unit: LogicalUnit | undefined, answer: (response: number) => void): void {
    const session = this.#session;
    const task = session.tasks.get(request.referencedTaskTag);
    if (task !== undefined) {
      if ((unit ?? null) !== task.unit) {
        answer(TaskResponse.TaskDoesNotExist);
        return;
      }
      abortAll([task], () => answer(TaskResponse.Complete));
      return;
    }
    // §11.6.1: a command that never arrived counts as received and aborted; one that is over does not exist.
    const missing =
      !serialLess(request.refCmdSn, session.window.expCmdSn) && !serialLess(request.cmdSn, request.refCmdSn);
    if (missing && session.window.receive(request.refCmdSn) === 'now') {
      answer(TaskResponse.Complete);
      return;
    }
    answer(TaskResponse.TaskDoesNotExist);
  }

  #onUnit(kind: number, unit: LogicalUnit, done: () => void): void {
    if (kind === TaskFunction.AbortTaskSet) unit.abortTaskSet(this.#session.nexus, done);
    else if (kind === TaskFunction.ClearTaskSet) unit.clearTaskSet(this.#session.nexus, done);
    else unit.reset(done);
  }

  /** Resets every unit that this initiator sees of the target; a cold reset also ends the target's sessions. */
  #resetTarget(request: TaskManagementRequest, answer: (response: number) => void): void {
    const session = this.#session;
    const units = [...session.units];
    let left = units.length;
    const done = (): void => {
      if (--left > 0) return;
      answer(TaskResponse.Complete);
      if (request.function === TaskFunction.TargetColdReset) session.context.endSessionsOf(session.targetName);
    };
    if (left === 0) {
      left = 1;
      done();
      return;
    }
    for (const unit of units) unit.reset(done);
  }

  #respond(request: TaskManagementRequest, response: number): void {
    const session = this.#session;
    if (session.over) return;
    const numbers = { expCmdSn: session.window.expCmdSn, maxCmdSn: session.maxCmdSn() };
    const { itt } = request;
    const statSn = session.statSn.take();
    session.writer.send((s, to) => emitTaskManagementResponse({ response, itt, statSn, ...numbers }, s, to));
  }
}
