package page

import (
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// Pages draw buttons without a word: a picture, a drawing, a letter of a font of icons. What
// whoever made the page calls the picture, in its address or its class, is then the only
// text that says what the button is for.

const (
	// maxIcon is how wide and high a picture is at most that is an icon, in CSS pixels.
	maxIcon = 96
	// maxIconName bounds what an icon is called, in characters.
	maxIconName = 40
	// iconLevels is how far above an icon the element lies that it stands for, at most.
	iconLevels = 4
)

// readIcons finds what icons are called, for themselves and for the elements around them.
func (r *layoutReader) readIcons() {
	for node := range r.ids {
		name := r.iconName(node)
		if name == "" {
			continue
		}
		for up, level := node, 0; up >= 0 && up < len(r.ids) && level <= iconLevels; up, level = r.parent(up), level+1 {
			if r.icons[r.ids[up]] == "" && r.boxes[r.ids[up]].height() <= maxIcon {
				r.icons[r.ids[up]] = name
			}
		}
	}
}

// iconName is what an element's own picture is called, or "".
func (r *layoutReader) iconName(node int) string {
	if _, shown := r.laidOut[node]; !shown || strings.HasPrefix(r.names[node], "#") {
		return ""
	}
	if b := r.boxes[r.ids[node]]; b.width() > maxIcon || b.height() > maxIcon {
		return ""
	}
	switch r.names[node] {
	case "img", "image", "use":
		for _, attribute := range []string{"src", "href", "xlink:href"} {
			if name := pictureName(r.attribute(node, attribute)); name != "" {
				return name
			}
		}
	}
	if name := iconClass(r.attribute(node, "class")); name != "" {
		return name
	}
	for _, style := range []int{styleImage, styleContent, styleMask} {
		if m := addressInStyle().FindStringSubmatch(r.style(node, style)); m != nil {
			if name := pictureName(m[1]); name != "" {
				return name
			}
		}
	}
	return ""
}

// atFirstUse compiles a pattern when it is first needed, for each start of the command
// line would wait for it.
func atFirstUse(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// addressInStyle is what url() has in it in a computed style.
var addressInStyle = atFirstUse(`^url\("([^"]*)"\)`)

// iconWord is a class that names an icon: "fa-trash", "ui-icon-disk", "icon_search".
var iconWord = atFirstUse(`^(?:[a-z]+[-_])?(?:icons?|glyphicon|fa|bi|bx|mdi|lucide|feather|octicon|codicon|` +
	`anticon|tabler|ph|ri|la|pi|ti)[-_]+([a-z][a-z0-9_-]*)$|^([a-z][a-z0-9_-]*)[-_]icon$`)

// noIcon are the words that such classes use for size and motion.
var noIcon = atFirstUse(`^(?:xs|sm|md|lg|xl|xxl|small|medium|large|fw|spin|pulse|border|inverse|stack|solid|` +
	`regular|light|thin|brands|duotone|button|btn|wrapper|container|only|left|right|bg|icon)$`)

// iconClass is what the classes of an element call an icon, or "". The last one counts: the
// ones before it say which kind of icon.
func iconClass(classes string) (name string) {
	for class := range strings.FieldsSeq(strings.ToLower(classes)) {
		if m := iconWord().FindStringSubmatch(class); m != nil {
			if word := m[1] + m[2]; !noIcon().MatchString(word) {
				name = word
			}
		}
	}
	return clip(name, maxIconName)
}

// made is what tools that pack pages add to a file's name: a digest, or a size.
var made = atFirstUse(`(?:[._-](?:[0-9a-f]{6,}|[0-9]+x[0-9]*|min))+$`)

// pictureName is the file's name in the address of a picture, without what says nothing; or
// its fragment, which names a drawing in a sheet of them.
func pictureName(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "data" || u.Scheme == "blob" || len(address) > 2000 {
		return ""
	}
	name := u.Fragment
	if name == "" {
		name = path.Base(u.Path)
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	name = made().ReplaceAllString(name, "")
	if !strings.ContainsFunc(name, unicode.IsLetter) {
		return ""
	}
	return clip(name, maxIconName)
}

// iconOf is what the icon is called that stands for the name of an element, or "". An
// element with text in it has no need of one.
func (w *walk) iconOf(n *axNode, level int) string {
	icon := w.clean(w.doc.icons[n.Backend])
	if icon == "" || w.clean(w.textBelow(n, level, 1)) != "" {
		return ""
	}
	return icon
}
