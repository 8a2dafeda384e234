const nearEndPx = 60;

/**
 * Keeps a scrolling list where its reader is: at the end, also when the content there grows, or at the items they read
 * while older ones are added above.
 */
export class ScrollAnchor {
  atEnd = $state(true);
  private box: HTMLElement | undefined;
  /** The height of the content when the position was last set or read. */
  private height = 0;
  private first: string | undefined;
  private before = { height: 0, top: 0 };

  /** An attachment for the element that scrolls. Its only child holds the content. */
  attach = (box: HTMLElement): (() => void) => {
    this.box = box;
    // The composer grows, a keyboard opens, the last message is edited or gets a reaction.
    const resized = new ResizeObserver(() => this.atEnd && this.toEnd());
    resized.observe(box);
    resized.observe(box.firstElementChild!);
    return () => {
      resized.disconnect();
      this.box = undefined;
    };
  };

  get top(): number {
    return this.box?.scrollTop ?? 0;
  }

  toEnd(): void {
    if (!this.box) return;
    this.box.scrollTop = this.box.scrollHeight;
    this.height = this.box.scrollHeight;
    this.atEnd = true;
  }

  /** Call when the element has scrolled. */
  scrolled(): void {
    if (!this.box) return;
    const { scrollHeight, scrollTop, clientHeight } = this.box;
    // The content grew and moved: the reader did not leave the end.
    if (this.atEnd && scrollHeight !== this.height) return this.toEnd();
    this.height = scrollHeight;
    this.atEnd = scrollHeight - scrollTop - clientHeight < nearEndPx;
  }

  /** Call before the items change on screen. */
  beforeChange(): void {
    if (this.box) this.before = { height: this.box.scrollHeight, top: this.box.scrollTop };
  }

  /** Call after the items have changed on screen. first identifies the first of them. */
  afterChange(first: string | undefined): void {
    if (!this.box) return;
    if (this.atEnd) this.toEnd();
    else if (first !== this.first) this.box.scrollTop = this.before.top + this.box.scrollHeight - this.before.height;
    this.first = first;
  }
}
