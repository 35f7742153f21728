/** Who waits, in order: taking the first is as cheap for ten thousand as for ten. */
export class Line<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (this.#head === this.#items.length) return undefined;
    this.#items[this.#head++] = undefined;
    // Half of it is gone: move the rest to the front, so that the array does not grow for ever.
    if (this.#head > 64 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** The first that the test holds for; it stays. */
  find(test: (item: T) => boolean): T | undefined {
    for (let at = this.#head; at < this.#items.length; at++) {
      const item = this.#items[at] as T; // between head and end every place is taken
      if (test(item)) return item;
    }
    return undefined;
  }

  /** Takes the first that the test holds for. */
  take(test: (item: T) => boolean): T | undefined {
    for (let at = this.#head; at < this.#items.length; at++) {
      const item = this.#items[at] as T; // between head and end every place is taken
      if (!test(item)) continue;
      if (at === this.#head) return this.shift();
      this.#items.splice(at, 1);
      return item;
    }
    return undefined;
  }

  /** Counts those that the test holds for. */
  count(test: (item: T) => boolean): number {
    let count = 0;
    for (let at = this.#head; at < this.#items.length; at++) if (test(this.#items[at] as T)) count++;
    return count;
  }

  /** Takes out all that the test holds for, in order. */
  remove(test: (item: T) => boolean): T[] {
    const taken: T[] = [];
    const kept: T[] = [];
    for (let item = this.shift(); item !== undefined; item = this.shift()) (test(item) ? taken : kept).push(item);
    this.#items = kept;
    this.#head = 0;
    return taken;
  }
}
