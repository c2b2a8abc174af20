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

// modifierKey returns the key of a modifier.
func modifierKey(bit int64) key {
	switch bit {
	case modAlt:
		return key{name: "Alt", code: "AltLeft", windows: 18}
	case modControl:
		return key{name: "Control", code: "ControlLeft", windows: 17}
	case modMeta:
		return key{name: "Meta", code: "MetaLeft", windows: 91}
	}
	return key{name: "Shift", code: "ShiftLeft", windows: 16}
}

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
			`or "Meta+", also several: "Control+Shift+K"`)
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
	if bit, ok := modifiers[name]; ok {
		return modifierKey(bit), held &^ bit, nil
	}
	if alias, ok := keyAliases[name]; ok {
		name = alias
	}
	if k, ok := namedKeys[name]; ok {
		return k, held, nil
	}
	if utf8.RuneCountInString(text) != 1 || !utf8.ValidString(text) || text < " " || text == "\x7f" {
		return key{}, 0, bad
	}
	k, shifted := characterKey(text)
	switch {
	case shifted && held == 0:
		held = modShift
	case k.code != "" && held&modShift != 0 && 'a' <= text[0] && text[0] <= 'z':
		k.name, k.text = strings.ToUpper(text), strings.ToUpper(text)
	}
	return k, held, nil
}

// The keys of a keyboard of the United States that are no letters, without and with
// Shift, in one order with their codes.
const (
	plainCharacters   = "`1234567890-=[]\\;',./"
	shiftedCharacters = `~!@#$%^&*()_+{}|:"<>?`
)

// characterKey returns the key that writes a character, and whether with Shift. A
// character that no key of that keyboard writes has no code.
func characterKey(text string) (k key, shifted bool) {
	k = key{name: text, text: text}
	if len(text) > 1 {
		return k, false
	}
	c := text[0]
	if upper := strings.ToUpper(text)[0]; upper >= 'A' && upper <= 'Z' {
		k.code, k.windows = "Key"+string(upper), int64(upper)
		return k, c == upper
	}
	i := strings.IndexByte(plainCharacters, c)
	if i < 0 {
		i, shifted = strings.IndexByte(shiftedCharacters, c), true
	}
	if i < 0 {
		return k, false
	}
	if plain := plainCharacters[i]; plain >= '0' && plain <= '9' {
		k.code, k.windows = "Digit"+string(plain), int64(plain)
		return k, shifted
	}
	named := map[byte]key{
		'`': {code: "Backquote", windows: 192}, '-': {code: "Minus", windows: 189}, '=': {code: "Equal", windows: 187},
		'[': {code: "BracketLeft", windows: 219}, ']': {code: "BracketRight", windows: 221},
		'\\': {code: "Backslash", windows: 220}, ';': {code: "Semicolon", windows: 186}, '\'': {code: "Quote", windows: 222},
		',': {code: "Comma", windows: 188}, '.': {code: "Period", windows: 190}, '/': {code: "Slash", windows: 191},
	}[plainCharacters[i]]
	k.code, k.windows = named.code, named.windows
	return k, shifted
}

// Press sends a key to what has the focus. See [browser.Page].
func (s *Set) Press(ctx context.Context, keys string) error {
	k, held, err := parseKey(keys)
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
		release, err := t.hold(ctx, heldKeys(held))
		if err != nil {
			return err
		}
		defer release()
		return t.press(ctx, k, held)
	})
}

// heldKeys are the keys of modifiers, in the order in which hands take them.
func heldKeys(held int64) []key {
	var keys []key
	for _, bit := range []int64{modControl, modAlt, modShift, modMeta} {
		if held&bit != 0 {
			keys = append(keys, modifierKey(bit))
		}
	}
	return keys
}

// hold presses modifiers. They stay pressed until release is called, which does not
// mind that the tab is gone.
func (t *tab) hold(ctx context.Context, keys []key) (release func(), err error) {
	var held int64
	send := func(ctx context.Context, kind input.DispatchKeyEventType, k key) error {
		return protocol.Tell(ctx, t.session, input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type:                  kind,
			Modifiers:             held,
			Key:                   k.name,
			Code:                  k.code,
			WindowsVirtualKeyCode: k.windows,
			NativeVirtualKeyCode:  k.windows,
		})
	}
	release = func() {
		for len(keys) > 0 {
			last := keys[len(keys)-1]
			keys = keys[:len(keys)-1]
			held &^= modifiers[strings.ToLower(last.name)]
			ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), frameTimeout)
			_ = send(ending, input.DispatchKeyEventTypeKeyUp, last)
			cancel()
		}
	}
	for _, k := range keys {
		held |= modifiers[strings.ToLower(k.name)]
		if err := send(ctx, input.DispatchKeyEventTypeRawKeyDown, k); err != nil {
			release()
			return nil, fmt.Errorf("holding a key: %w", err)
		}
	}
	return release, nil
}

func (t *tab) press(ctx context.Context, k key, held int64) error {
	down, up := keyEvents(k, held)
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

// keyEvents are what the browser is sent for a key that is pressed and let go of, while
// modifiers are held.
func keyEvents(k key, held int64) (down, up input.DispatchKeyEventParams) {
	down = input.DispatchKeyEventParams{
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
		if command == "undo" && held&modShift != 0 {
			command = "redo"
		}
		down.Commands = []string{command}
	}
	if down.Text == "" {
		down.Type = input.DispatchKeyEventTypeRawKeyDown
	}
	up = down
	up.Type, up.Text, up.UnmodifiedText, up.Commands = input.DispatchKeyEventTypeKeyUp, "", "", nil
	return down, up
}
