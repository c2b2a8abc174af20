package page

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// chooserTimeout is how long a page that was clicked may take to ask for files.
	chooserTimeout = 2 * time.Second
	// maxUploadName bounds the name of a file, in bytes.
	maxUploadName = 255
)

// jsFileInput returns the file input that an element is, labels, or alone holds.
const jsFileInput = `function () {
	const el = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	const isFile = el => el instanceof HTMLInputElement && el.type === 'file';
	if (!el) return null;
	if (isFile(el)) return el;
	const label = Element.prototype.closest.call(el, 'label');
	if (label && isFile(label.control)) return label.control;
	const root = el.shadowRoot instanceof ShadowRoot ? el.shadowRoot : null;
	const query = (of, proto) => [...proto.querySelectorAll.call(of, 'input')].filter(isFile);
	const held = query(el, Element.prototype).concat(root ? query(root, DocumentFragment.prototype) : []);
	return held.length === 1 ? held[0] : null;
}`

// jsNewInput makes an input that is in no document, to hold files for a moment.
const jsNewInput = `function () {
	const input = Document.prototype.createElement.call(document, 'input');
	input.type = 'file';
	input.multiple = true;
	return input;
}`

// jsGive gives this the files of another input under names and types: a file input takes
// them as if they had been chosen, anything else as if they were dropped on it. It
// returns what is in the way.
const jsGive = `function (from, names, types, drop) {
	const given = new DataTransfer();
	[...from.files].forEach((file, i) => given.items.add(new File([file], names[i], {type: types[i]})));
	if (!drop) {
		if (Element.prototype.matches.call(this, ':disabled')) return 'disabled';
		if (given.files.length > 1 && !this.multiple) return 'one';
		Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'files').set.call(this, given.files);
		this.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
		this.dispatchEvent(new Event('change', {bubbles: true}));
		return '';
	}
	const el = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
	const box = el.getBoundingClientRect();
	const at = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
	const send = kind => !el.dispatchEvent(new DragEvent(kind,
		{bubbles: true, cancelable: true, composed: true, dataTransfer: given, ...at}));
	send('dragenter');
	const over = send('dragover');
	if (!over) { send('dragleave'); return 'none'; }
	send('drop');
	return '';
}`

// uploadTime bounds an upload whose context has no deadline.
const uploadTime = 10 * time.Minute

// SetFiles gives files to the page. See [browser.Page].
//
// The browser reads copies under names that nobody has chosen. What the page is told of
// their names and kinds it is told by objects that are made in the page of those copies.
func (s *Set) SetFiles(ctx context.Context, ref browser.Ref, files []browser.File) error {
	if len(files) == 0 || len(files) > browser.MaxFiles {
		return browser.BadRequest("page.invalid_files",
			fmt.Sprintf("an upload is of 1 to %d files", browser.MaxFiles), "")
	}
	for _, f := range files {
		if !isFileName(f.Name) || f.Size < 0 {
			return browser.BadRequest("page.invalid_files", "the name of a file is none", "")
		}
	}
	limit := uploadTime
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	return s.onTabFor(ctx, limit, func(ctx context.Context, t *tab) error {
		n, tree, err := t.findElement(ctx, ref)
		if err != nil {
			return err
		}
		defer n.release()
		into, drop, err := t.fileInput(ctx, tree, n)
		if err != nil {
			return err
		}
		if into != n {
			defer into.release()
		}
		made, err := s.copyFiles(ctx, files)
		if err != nil {
			s.uploads.remove(made)
			return err
		}
		// They are kept before they are given: the page may leave as it gets them.
		s.uploads.keep(into.frame.document(), made)
		if err := t.giveFiles(ctx, into, made, files, drop); err != nil {
			s.uploads.remove(s.uploads.takeBack(made))
			return err
		}
		return nil
	})
}

// isFileName reports whether text can be the name of a file: one segment, on one line.
func isFileName(text string) bool {
	return text != "" && len(text) <= maxUploadName && utf8.ValidString(text) && text != "." && text != ".." &&
		!strings.ContainsAny(text, `/\`) && !strings.ContainsFunc(text, unicode.IsControl)
}

// fileInput returns what takes files where an element was named: itself, the input that it
// stands for, the one that it asks with when it is clicked; else drop says that files are
// dropped on it.
func (t *tab) fileInput(ctx context.Context, tree *frameTree, n *node) (into *node, drop bool, err error) {
	into, err = t.related(ctx, n, jsFileInput)
	if err != nil || into != nil {
		return into, false, err
	}
	asked, err := t.clickForFiles(ctx, tree, n)
	switch {
	case err != nil && !hasCode(err, codeCovered, codeNotDrawn, codeNotInView):
		return nil, false, err
	case asked.backend == 0:
		return n, true, nil
	}
	// The page around a frame may ask as well when something in it is clicked, and is given
	// nothing: another site's frame was named.
	f := tree.byID[asked.frame]
	if f == nil || f.id != n.frame.id && (f.origin == "" || f.origin != n.frame.origin) {
		return nil, false, errNotAnUpload(n)
	}
	into, err = t.node(ctx, f, asked.backend)
	if into != nil {
		into.ref = n.ref
	}
	return into, false, err
}

func errNotAnUpload(n *node) error {
	return browser.Conflict("page.not_an_upload", "the element "+string(n.ref)+" takes no files",
		"give a file input, the button that asks for a file, or the area to drop files on")
}

// fileChooser is a page's question for files.
type fileChooser struct {
	frame   cdp.FrameID
	backend cdp.BackendNodeID // the input that asks
}

// clickForFiles clicks an element, and returns what the page asks for files with; nothing
// where it does not.
func (t *tab) clickForFiles(ctx context.Context, tree *frameTree, n *node) (asked fileChooser, err error) {
	asking := make(chan fileChooser, 1)
	t.setChooser(asking)
	defer t.setChooser(nil)
	t.set.guards.ExpectSubmit(t.session.ID)
	if err := t.clickNode(ctx, tree, n, leftClick()); err != nil {
		return asked, err
	}
	wait := time.NewTimer(chooserTimeout)
	defer wait.Stop()
	select {
	case asked = <-asking:
		return asked, nil
	case <-wait.C:
		return asked, nil
	case <-t.session.gone:
		return asked, protocol.ErrGone
	case <-ctx.Done():
		return asked, ctx.Err()
	}
}

func (t *tab) setChooser(asking chan fileChooser) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.chooser = asking
}

// onFileChooser tells who waits for a page's question for files. Where nobody does, the
// next observation says that there was one: no window opens for it.
func (t *tab) onFileChooser(ev page.EventFileChooserOpened) {
	t.mu.Lock()
	asking := t.chooser
	t.mu.Unlock()
	if asking == nil {
		several := ""
		if ev.Mode == page.FileChooserOpenedModeSelectMultiple {
			several = ", several at once if need be"
		}
		t.addNote("the page asks for a file%s: upload answers the element that was clicked", several)
		return
	}
	select {
	case asking <- fileChooser{ev.FrameID, ev.BackendNodeID}:
	default:
	}
}

// copyFiles makes the copies that the browser reads. Beside an error it returns those that
// were made.
func (s *Set) copyFiles(ctx context.Context, files []browser.File) (made []upload, err error) {
	for _, f := range files {
		if err := s.uploads.reserve(f.Size); err != nil {
			return made, err
		}
		path, err := s.uploads.copies.Make(f.Size, func(w io.Writer) error { return f.WriteTo(ctx, w) })
		if err != nil {
			s.uploads.release(f.Size)
			if errors.Is(err, ErrTooLarge) {
				err = browser.Conflict("page.file_changed", "a file has grown while it was read", "try again")
			}
			return made, err
		}
		made = append(made, upload{path: path, size: f.Size})
	}
	return made, nil
}

// giveFiles gives copies to an element under the files' own names.
func (t *tab) giveFiles(ctx context.Context, into *node, made []upload, files []browser.File, drop bool) error {
	var paths, names, types []string
	for i, f := range files {
		made[i].session = into.frame.session.ID
		paths, names, types = append(paths, made[i].path), append(names, f.Name), append(types, f.ContentType)
	}
	session, group := into.frame.session, t.set.objectGroup()
	defer releaseGroup(session, group)
	holder, err := callFunction(ctx, session, scriptCall{Function: jsNewInput, World: into.world, Group: group}, nil)
	if err != nil {
		return err
	}
	if err := protocol.Tell(ctx, session, dom.SetFileInputFiles,
		dom.SetFileInputFilesParams{Files: paths, ObjectID: holder.ObjectID}); err != nil {
		return fmt.Errorf("giving files to the page: %w", err)
	}
	from := &node{frame: into.frame, world: into.world, object: holder.ObjectID}
	var problem string
	if err := into.callOn(ctx, &problem, jsGive, from, names, types, drop); err != nil {
		return err
	}
	name := "the element " + string(into.ref)
	switch problem {
	case "":
		t.set.guards.ExpectSubmit(t.session.ID)
		return nil
	case "disabled":
		return browser.Conflict("page.disabled", name+" is disabled", "")
	case "one":
		return browser.Conflict("page.one_file", name+" takes one file", "")
	}
	return errNotAnUpload(into)
}
