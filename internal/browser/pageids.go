package browser

import "github.com/chromedp/cdproto/cdp"

// Document is a document for as long as it lives.
type Document struct {
	Frame  cdp.FrameID
	Loader cdp.LoaderID
}

// elementKey is an element for as long as its document lives.
type elementKey struct {
	Document
	Backend cdp.BackendNodeID
}
