package browser

import "context"

// fakeTab is the name of a fake page's only tab.
const fakeTab TabID = "t1"

func (p fakePage) Tabs(ctx context.Context) ([]Tab, error) {
	if err := p.b.alive(ctx); err != nil {
		return nil, err
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return []Tab{{ID: fakeTab, URL: p.b.url, Active: true}}, nil
}

// OpenTab opens the address in the only tab that there is.
func (p fakePage) OpenTab(ctx context.Context, url string) error { return p.Goto(ctx, url, "") }

func (p fakePage) ActivateTab(ctx context.Context, id TabID) error {
	if err := p.b.alive(ctx); err != nil {
		return err
	}
	if id != fakeTab {
		return NotFound("page.unknown_tab", "there is no such tab", "")
	}
	return nil
}

func (p fakePage) CloseTab(ctx context.Context, id TabID) error { return p.ActivateTab(ctx, id) }

func (p fakePage) Back(ctx context.Context) error {
	if err := p.b.alive(ctx); err != nil {
		return err
	}
	return Conflict("page.no_history", "there is no page before this one", "")
}

func (p fakePage) Reload(ctx context.Context) error { return p.b.alive(ctx) }

// KeepTo bounds nothing: a fake page goes nowhere by itself.
func (fakePage) KeepTo(func(string) bool) Bounds { return NoBounds{} }

// WaitText finds nothing: a fake page shows no text.
func (p fakePage) WaitText(ctx context.Context, _ string) error { return p.element(ctx) }

func (p fakePage) AnswerDialog(ctx context.Context, _ bool, _ string) error {
	if err := p.b.alive(ctx); err != nil {
		return err
	}
	return Conflict("page.no_dialog", "no dialog waits for an answer", "")
}

func (p fakePage) SetFiles(ctx context.Context, _ Ref, _ []File) error { return p.element(ctx) }
func (p fakePage) LoginHTTP(ctx context.Context, _ HTTPLogin) error    { return p.element(ctx) }
