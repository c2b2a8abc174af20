package page

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/chromedp/cdproto/input"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// key is what a keyboard sends: DOM names and the Windows key code that
// Chromium goes by.
type key struct {
	name, code, text string
	windows          int64
}

// namedKeys are the keys that have a name instead of a character.
var namedKeys = map[string]key{
	"enter":      {"Enter", "Enter", "\r", 13},
	"tab":        {"Tab", "Tab", "", 9},
	"escape":     {"Escape", "Escape", "", 27},
	"backspace":  {"Backspace", "Backspace", "", 8},
	"delete":     {"Delete", "Delete", "", 46},
	"insert":     {"Insert", "Insert", "", 45},
	"home":       {"Home", "Home", "", 36},
	"end":        {"End", "End", "", 35},
	"pageup":     {"PageUp", "PageUp", "", 33},
	"pagedown":   {"PageDown", "PageDown", "", 34},
	"arrowleft":  {"ArrowLeft", "ArrowLeft", "", 37},
	"arrowup":    {"ArrowUp", "ArrowUp", "", 38},
	"arrowright": {"ArrowRight", "ArrowRight", "", 39},
	"arrowdown":  {"ArrowDown", "ArrowDown", "", 40},
	"space":      {" ", "Space", " ", 32},
	"f1":         {"F1", "F1", "", 112}, "f2": {"F2", "F2", "", 113}, "f3": {"F3", "F3", "", 114},
	"f4": {"F4", "F4", "", 115}, "f5": {"F5", "F5", "", 116}, "f6": {"F6", "F6", "", 117},
	"f7": {"F7", "F7", "", 118}, "f8": {"F8", "F8", "", 119}, "f9": {"F9", "F9", "", 120},
	"f10": {"F10", "F10", "", 121}, "f11": {"F11", "F11", "", 122}, "f12": {"F12", "F12", "", 123},
}

// keyAliases are other names of keys that models use.
var keyAliases = map[string]string{
	"return": "enter", "esc": "escape", "del": "delete", "left": "arrowleft", "right": "arrowright",
	"up": "arrowup", "down": "arrowdown", " ": "space", "spacebar": "space",
}

// modifiers are the bits of the protocol by their names.
var modifiers = map[string]int64{
	"alt": modAlt, "option": modAlt, "control": modControl, "ctrl": modControl,
	"meta": modMeta, "cmd": modMeta, "command": modMeta, "shift": modShift,
}

const (
	modAlt, modControl, modMeta, modShift = 1, 2, 4, 8
)

// editingCommands are the commands of shortcuts that Chromium leaves to its window,
// which a headless browser does not have.
var editingCommands = map[string]string{
	"a": "selectAll", "c": "copy", "x": "cut", "v": "paste", "z": "undo", "y": "redo",
}

// mayMoveText reports whether a key may copy, cut, paste or undo, rather than only
// write, move the cursor, select or send. With a modifier every key may, unless it is
// known not to. Chromium takes Control+Insert, Shift+Insert and Shift+Delete for keys
// of the clipboard, and on some systems Alt+Backspace for undo.
func mayMoveText(k key, held int64) bool {
	moves := strings.HasPrefix(k.name, "Arrow") || k.name == "Home" || k.name == "End" || strings.HasPrefix(k.name, "Page")
	switch {
	case held&modAlt != 0:
		return !moves
	case held&(modControl|modMeta) != 0:
		switch k.name {
		case "Enter", "Tab", "Escape", " ", "a", "A":
			return false
		case "Backspace", "Delete":
			return held&modShift != 0
		}
		return !moves
	case held&modShift != 0:
		return k.name == "Insert" || k.name == "Delete" || k.name == "F10" // the last opens a menu
	}
	return false
}

// parseKey reads "Enter", "a", "Shift+Tab", "Control+A".
func parseKey(text string) (key, int64, error) {
	bad := browser.BadRequest("page.unknown_key", "there is no such key",
		`keys are "Enter", "Tab", "Escape", "ArrowDown", a character, or one of them after "Control+", "Shift+", "Alt+" `+
			`or "Meta+"`)
	if len(text) > 64 || text == "" {
		return key{}, 0, bad
	}
	var held int64
	for {
		i := strings.IndexByte(text, '+')
		if i <= 0 || i == len(text)-1 {
			break
		}
		bit, ok := modifiers[strings.ToLower(text[:i])]
		if !ok {
			return key{}, 0, bad
		}
		held |= bit
		text = text[i+1:]
	}
	name := strings.ToLower(text)
	if alias, ok := keyAliases[name]; ok {
		name = alias
	}
	if k, ok := namedKeys[name]; ok {
		return k, held, nil
	}
	if utf8.RuneCountInString(text) != 1 || !utf8.ValidString(text) || text < " " || text == "\x7f" {
		return key{}, 0, bad
	}
	k := key{name: text, text: text}
	switch c := strings.ToUpper(text)[0]; {
	case len(text) > 1:
	case c >= 'A' && c <= 'Z':
		k.code, k.windows = "Key"+string(c), int64(c)
		if held&modShift != 0 {
			k.name, k.text = string(c), string(c)
		}
	case c >= '0' && c <= '9':
		k.code, k.windows = "Digit"+string(c), int64(c)
	}
	return k, held, nil
}

// Press sends one key to what has the focus. See [browser.Page].
func (s *Set) Press(ctx context.Context, name string) error {
	k, held, err := parseKey(name)
	if err != nil {
		return err
	}
	return s.onTab(ctx, func(ctx context.Context, t *tab) error {
		// This is asked here and not before: a login may be filled while the key waits
		// for the tab.
		if s.secretFilled.Load() && mayMoveText(k, held) {
			// A piece of a value that is pasted elsewhere would not be recognised, nor
			// would a value that a button of the page has put on the clipboard.
			return browser.Forbidden("page.key_refused",
				"nothing is copied, cut, pasted or undone in a browser where a login was filled", "type the text instead")
		}
		if k.name == "Enter" || k.name == " " {
			s.guards.ExpectSubmit(t.session.ID)
		}
		return t.press(ctx, k, held)
	})
}

func (t *tab) press(ctx context.Context, k key, held int64) error {
	down := input.DispatchKeyEventParams{
		Type:                  input.DispatchKeyEventTypeKeyDown,
		Modifiers:             held,
		Key:                   k.name,
		Code:                  k.code,
		WindowsVirtualKeyCode: k.windows,
		NativeVirtualKeyCode:  k.windows,
	}
	if held&(modAlt|modControl|modMeta) == 0 {
		down.Text, down.UnmodifiedText = k.text, k.text
	} else if command, ok := editingCommands[strings.ToLower(k.name)]; ok && held&(modControl|modMeta) != 0 {
		down.Commands = []string{command}
	}
	if down.Text == "" {
		down.Type = input.DispatchKeyEventTypeRawKeyDown
	}
	up := down
	up.Type, up.Text, up.UnmodifiedText, up.Commands = input.DispatchKeyEventTypeKeyUp, "", "", nil
	for _, params := range []input.DispatchKeyEventParams{down, up} {
		err := protocol.Tell(ctx, t.session, input.DispatchKeyEvent, params)
		if errors.Is(err, protocol.ErrGone) {
			return nil // the key closed the tab
		}
		if err != nil {
			return fmt.Errorf("pressing a key: %w", err)
		}
	}
	return nil
}
