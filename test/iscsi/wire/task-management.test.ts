// Task Management Function Request and Response, RFC 7143 §11.5 and §11.6. Vectors by the layout of those clauses.
import { NO_TAG, Opcode } from '../../../src/iscsi/wire/bhs.js';
import {
  emitTaskManagementRequest,
  emitTaskManagementResponse,
  parseTaskManagementRequest,
  parseTaskManagementResponse,
  TaskFunction,
  TaskResponse,
} from '../../../src/iscsi/wire/task-management.js';
import { codecTests, hex } from './codec.js';

codecTests('TaskManagementRequest', {
  opcode: Opcode.TaskManagementRequest,
  parse: parseTaskManagementRequest,
  emit: emitTaskManagementRequest,
  vectors: [
    [
      'ABORT TASK, immediate',
      '42810000 00000000 00010000 00000000 00000012 00000011 01020304 05060708 01020300 00000000 00000000 00000000',
      {
        immediate: true,
        function: TaskFunction.AbortTask,
        lun: hex('0001000000000000'),
        itt: 0x12,
        referencedTaskTag: 0x11,
        cmdSn: 0x01020304,
        expStatSn: 0x05060708,
        refCmdSn: 0x01020300,
        expDataSn: 0,
      },
    ],
    [
      'LOGICAL UNIT RESET',
      '02850000 00000000 c1020000 00000000 80000001 ffffffff fffffffe 00000001 00000000 00000000 00000000 00000000',
      {
        immediate: false,
        function: TaskFunction.LogicalUnitReset,
        lun: hex('c102000000000000'),
        itt: 0x80000001,
        referencedTaskTag: NO_TAG,
        cmdSn: 0xfffffffe,
        expStatSn: 1,
        refCmdSn: 0,
        expDataSn: 0,
      },
    ],
    [
      'TASK REASSIGN',
      '42880000 00000000 00000000 00000000 00000002 00000001 00000005 00000006 00000000 00000009 00000000 00000000',
      {
        immediate: true,
        function: TaskFunction.TaskReassign,
        lun: hex('0000000000000000'),
        itt: 2,
        referencedTaskTag: 1,
        cmdSn: 5,
        expStatSn: 6,
        refCmdSn: 0,
        expDataSn: 9,
      },
    ],
  ],
});

codecTests('TaskManagementResponse', {
  opcode: Opcode.TaskManagementResponse,
  parse: parseTaskManagementResponse,
  emit: emitTaskManagementResponse,
  vectors: [
    [
      'function complete',
      '22800000 00000000 00000000 00000000 00000012 00000000 11223344 55667788 99aabbcc 00000000 00000000 00000000',
      {
        response: TaskResponse.Complete,
        itt: 0x12,
        statSn: 0x11223344,
        expCmdSn: 0x55667788,
        maxCmdSn: 0x99aabbcc,
      },
    ],
    [
      'function rejected',
      '2280ff00 00000000 00000000 00000000 80000001 00000000 00000001 00000002 00000003 00000000 00000000 00000000',
      { response: TaskResponse.Rejected, itt: 0x80000001, statSn: 1, expCmdSn: 2, maxCmdSn: 3 },
    ],
  ],
});
