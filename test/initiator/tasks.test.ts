// The task table: slots, tags, the queue, and what an ending leaves behind.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MOST_SLOTS, type Task, TaskFailure, type TaskOwner, TaskState, TaskTable } from '../../src/initiator/tasks.js';
import { RefBuffer } from '../../src/util/ref-buffer.js';

class Owner implements TaskOwner {
  readonly done: Task[] = [];
  onTaskData(): void {}
  onTaskDone(task: Task): void {
    this.done.push(task);
  }
}

test('every activation has a tag of its own, and no tag is ever the reserved one', () => {
  const table = new TaskTable();
  const owner = new Owner();
  const tags = new Set<number>();
  for (let i = 0; i < 0x1_0000; i++) {
    const task = table.take(owner) as Task;
    table.activate(task);
    assert.notEqual(task.itt, 0xffff_ffff);
    if (i < 0xffff) assert.ok(!tags.has(task.itt));
    tags.add(task.itt);
    assert.equal(table.find(task.itt), task);
    table.finish(task);
    assert.equal(table.find(task.itt), undefined, 'an ended task is not found');
    table.release(task);
  }
});

test('a released slot remembers nothing, and gives its payload back once', () => {
  const table = new TaskTable();
  const owner = new Owner();
  let freed = 0;
  const memory = new RefBuffer(Buffer.alloc(16), () => freed++);
  const task = table.take(owner) as Task;
  table.setPayload(task, memory.buffer, memory);
  table.setPayload(task, memory.buffer, memory);
  memory.release();
  assert.equal(freed, 0);
  assert.equal(task.length, 16);
  table.release(task);
  assert.equal(freed, 1);
  assert.equal(task.payload, null);
  assert.equal(task.length, 0);
  assert.equal(table.inUse, 0);
  assert.throws(() => table.release(task), /in use/);
});

test('the table grows to its bound and not beyond', () => {
  const table = new TaskTable();
  const owner = new Owner();
  const indexes = new Set<number>();
  for (let i = 0; i < MOST_SLOTS; i++) indexes.add((table.take(owner) as Task).index);
  assert.equal(indexes.size, MOST_SLOTS);
  assert.ok(Math.max(...indexes) < 0xfff0, 'the tags of other requests stay free');
  assert.equal(table.take(owner), null);
});

test('ending what was started goes by the order of the starts, and takes what owners start meanwhile in its stride', () => {
  const table = new TaskTable();
  const order: number[] = [];
  const owner: TaskOwner = {
    onTaskData() {},
    onTaskDone(task) {
      order.push(task.restarts);
      const again = task.restarts < 100;
      table.release(task);
      if (again) {
        const other = table.take(owner) as Task;
        other.restarts = 1000;
        table.enqueue(other);
      }
    },
  };
  for (let i = 0; i < 6; i++) {
    const task = table.take(owner) as Task;
    task.restarts = i;
    if (i % 3 === 2) table.rest(task, 5);
    else table.enqueue(task);
    if (i % 3 === 1) {
      table.unqueue(task);
      table.activate(task);
    }
  }
  for (const task of table.inOrder(({ state }) => state > TaskState.Held)) {
    task.failure = TaskFailure.Lost;
    table.finish(task);
  }
  assert.deepEqual(
    order.filter((n) => n < 100),
    [0, 1, 2, 3, 4, 5],
  );
  assert.equal(table.active, 0);
});

test('any sequence of operations keeps the queue in order and the counts right', () => {
  const step = fc.record({
    what: fc.constantFrom('take', 'enqueue', 'send', 'finish', 'cancel', 'release'),
    which: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const table = new TaskTable();
      const owner = new Owner();
      const tasks: Task[] = [];
      const queue: Task[] = [];
      const pick = (state: number, which: number): Task | undefined => {
        const fit = tasks.filter((task) => task.state === state);
        return fit[which % Math.max(1, fit.length)];
      };
      for (const { what, which } of steps) {
        if (what === 'take') tasks.push(table.take(owner) as Task);
        const held = pick(TaskState.Held, which);
        const queued = pick(TaskState.Queued, which);
        const active = pick(TaskState.Active, which);
        if (what === 'enqueue' && held) {
          table.enqueue(held);
          queue.push(held);
        } else if (what === 'send' && table.first) {
          const first = table.first;
          assert.equal(first, queue.shift());
          table.unqueue(first);
          table.activate(first);
        } else if (what === 'finish' && active) {
          table.finish(active);
        } else if (what === 'cancel' && queued) {
          queue.splice(queue.indexOf(queued), 1);
          table.finish(queued);
        } else if (what === 'release' && held) {
          table.release(held);
          tasks.splice(tasks.indexOf(held), 1);
        }
        assert.equal(table.first, queue[0] ?? null);
        assert.equal(table.inUse, tasks.length);
        assert.equal(table.active, tasks.filter((task) => task.state === TaskState.Active).length);
      }
    }),
    { numRuns: 200 },
  );
});
