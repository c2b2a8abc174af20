package browser

import "context"

func (p fakePage) Click(ctx context.Context, _ Ref, _ Click) error      { return p.element(ctx) }
func (p fakePage) Hover(ctx context.Context, _ Ref) error               { return p.element(ctx) }
func (p fakePage) Drag(ctx context.Context, _, _ Ref) error             { return p.element(ctx) }
func (p fakePage) ClickAt(ctx context.Context, _ Point, _ Click) error  { return p.b.alive(ctx) }
func (p fakePage) HoverAt(ctx context.Context, _ Point) error           { return p.b.alive(ctx) }
func (p fakePage) DragAt(ctx context.Context, _ ...Point) error         { return p.b.alive(ctx) }
func (p fakePage) Type(ctx context.Context, _ Ref, _ string) error      { return p.element(ctx) }
func (p fakePage) Select(ctx context.Context, _ Ref, _ ...string) error { return p.element(ctx) }
func (p fakePage) Press(ctx context.Context, _ string) error            { return p.b.alive(ctx) }

// Scroll moves nothing: a fake page is as high as its viewport.
func (p fakePage) Scroll(ctx context.Context, ref Ref, _ int) (bool, error) {
	if ref != "" {
		return false, p.element(ctx)
	}
	return false, p.b.alive(ctx)
}
