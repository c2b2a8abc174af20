package browser

import "github.com/chromedp/cdproto/cdp"

// documentKey is a document for as long as it lives.
type documentKey struct {
	frame  cdp.FrameID
	loader cdp.LoaderID
}

// elementKey is an element for as long as its document lives.
type elementKey struct {
	documentKey
	backend cdp.BackendNodeID
}
