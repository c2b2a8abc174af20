package protocol

import "github.com/chromedp/cdproto/cdp"

// Document is a document for as long as it lives.
type Document struct {
	Frame  cdp.FrameID
	Loader cdp.LoaderID
}

// Element is an element for as long as its document lives.
type Element struct {
	Document
	Backend cdp.BackendNodeID
}
