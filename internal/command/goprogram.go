package command

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"go/format"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

//go:embed replay.go.tmpl
var replayTemplate string

const (
	// maxTitle bounds the title of a page in a comment, in characters.
	maxTitle = 60
	// aliasRoom is how much of a runtime's alias fits beside aliasEnd.
	aliasRoom, aliasEnd = 120, "-replay"
	maskedRemark        = scrub.Mark + " stands for what was masked in the transcript: put in what belongs there."
)

// program is a Go program that does a transcript again. Its texts are Go: literals, or
// comments of one line. What they are made of comes from pages and models.
type program struct {
	About            []string
	Workspace, Alias string
	// Group, Mounts and Launch are as those of the operation's runtime; the first two
	// are empty where it has none.
	Group, Mounts, Launch string
	Steps                 []programStep
	UsesElement           bool
	UsesIndex, UsesFrame  bool
	// masked counts actions of which something was masked.
	masked int
}

// programStep is what is done on one page.
type programStep struct {
	URL, Title string
	Actions    []programAction
}

type programAction struct{ Remark, Kind, Element, Arguments string }

// newProgram makes a program of the actions that a replay would do: those that went well
// and did something.
func newProgram(
	o bctrl.OperationInfo, workspace string, rt bctrl.RuntimeInfo, steps []bctrl.TranscriptStep,
) (*program, error) {
	launch := bctrl.Launch{ProfileID: rt.Launch.ProfileID, Config: rt.Launch.Config} // no model is asked
	if rt.Launch.Mode != bctrl.ModeEphemeral {
		launch.Mode = rt.Launch.Mode
	}
	p := &program{
		Workspace: goString(workspace),
		Alias:     goString(rt.Alias[:min(len(rt.Alias), aliasRoom)] + aliasEnd),
		Launch:    goLiteral(reflect.ValueOf(launch)),
	}
	if rt.Group != "" {
		p.Group = goString(rt.Group)
	}
	if rt.Mounts != nil {
		p.Mounts = goLiteral(reflect.ValueOf(*rt.Mounts))
	}
	done := 0
	for i, s := range steps {
		step := programStep{URL: goString(s.URL), Title: commentOf(s.Title, maxTitle)}
		for _, a := range s.Actions {
			if a.Error != "" || readsOnly(a.Kind) {
				continue
			}
			action, err := p.action(a)
			if err != nil {
				return nil, err
			}
			step.Actions = append(step.Actions, action)
		}
		// The first says where to begin, also if nothing was done there.
		if done += len(step.Actions); len(step.Actions) > 0 || i == 0 {
			p.Steps = append(p.Steps, step)
		}
	}
	if done == 0 {
		return nil, usagef("the operation did nothing on a page that could be done again")
	}
	p.About = aboutProgram(o, workspace+"/"+rt.Alias, done, steps)
	return p, nil
}

// readsOnly reports whether a kind of action changes nothing, so that a program has no
// use for it. A page that was left is no action of the agent's.
func readsOnly(kind string) bool {
	return slices.Contains([]string{"extract", "read_page", "look", "leave"}, kind)
}

func aboutProgram(o bctrl.OperationInfo, runtime string, done int, steps []bctrl.TranscriptStep) []string {
	var hosts []string
	for _, s := range steps {
		u, err := url.Parse(s.URL)
		if err == nil && u.Host != "" && !slices.Contains(hosts, u.Host) {
			hosts = append(hosts, u.Host)
		}
	}
	where := ""
	if len(hosts) > 0 {
		where = " on " + strings.Join(hosts[:min(len(hosts), 5)], ", ")
	}
	return []string{
		commentOf(fmt.Sprintf("Command replay does again what an agent did in %s on %s:", runtime,
			o.CreatedAt.UTC().Format("2 January 2006")), 0),
		commentOf(actionsText(done)+where+". It asks no model.", 0),
		"",
		"It takes the API key from BCTRL_API_KEY, and the server from BCTRL_BASE_URL. Logins are",
		"filled by vault key, on the server, as the workspace's mounts permit when it runs: no",
		"value of the vault is in this file.",
		"",
		commentOf("Written by \"bctrl operation export --go\" from operation "+o.ID+".", 0),
	}
}

func actionsText(n int) string {
	if n == 1 {
		return "1 action"
	}
	return strconv.Itoa(n) + " actions"
}

func (p *program) action(a bctrl.ActAction) (out programAction, err error) {
	out = programAction{Kind: goString(a.Kind), Element: "nil", Arguments: `""`}
	if e := a.Element; e != nil {
		p.UsesElement = true
		names := []string{goString(e.Role), goString(e.Name)}
		for _, s := range e.Surroundings {
			names = append(names, goString(s))
		}
		out.Element = "element(" + strings.Join(names, ", ") + ")"
		if e.Index != 0 {
			p.UsesIndex = true
			out.Element = "nth(" + strconv.Itoa(e.Index) + ", " + out.Element + ")"
		}
		if e.Frame != "" {
			p.UsesFrame = true
			out.Element = "inFrame(" + goString(e.Frame) + ", " + out.Element + ")"
		}
	}
	if len(a.Arguments) > 0 {
		if out.Arguments, err = goJSON(a.Arguments); err != nil {
			return out, err
		}
	}
	if strings.Contains(string(a.Arguments), scrub.Mark) {
		p.masked++
		out.Remark = maskedRemark
	}
	return out, nil
}

// source is the program's text.
func (p *program) source() ([]byte, error) {
	t, err := texttemplate.New("replay").Parse(replayTemplate)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

// goString is a text as Go: as it is between back quotes where that reads better. What
// does not print, or turns the direction of writing, is an escape.
func goString(text string) string {
	if strings.ContainsAny(text, `"\`) && strconv.CanBackquote(text) && printable(text) == text {
		return "`" + text + "`"
	}
	return strconv.Quote(text)
}

// goJSON is a JSON text as Go, between back quotes.
func goJSON(text json.RawMessage) (string, error) {
	var b bytes.Buffer
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return "`" + strings.ReplaceAll(escaped(strings.TrimSuffix(b.String(), "\n")), "`", `\u0060`) + "`", nil
}

// commentOf is a text as a comment of one line, which at most so many characters of it are
// in; 0 is all of them.
func commentOf(text string, most int) string {
	if runes := []rune(text); most > 0 && len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	if printable(text) != text {
		return strconv.Quote(text)
	}
	return text
}

// goLiteral is a value of the SDK as Go: what it does not say is left out.
func goLiteral(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Elem().Kind() == reflect.Struct {
			return "&" + goLiteral(v.Elem())
		}
		return "new(" + goLiteral(v.Elem()) + ")"
	case reflect.Struct:
		var fields []string
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				fields = append(fields, v.Type().Field(i).Name+": "+goLiteral(v.Field(i)))
			}
		}
		return composite(v, fields)
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = goLiteral(v.Index(i))
		}
		return composite(v, items)
	case reflect.Map:
		var items []string
		for _, key := range v.MapKeys() {
			items = append(items, goLiteral(key)+": "+goLiteral(v.MapIndex(key)))
		}
		slices.Sort(items)
		return composite(v, items)
	case reflect.String:
		return goString(v.String())
	}
	return fmt.Sprint(v.Interface())
}

// literalWidth is how long a literal may be on one line.
const literalWidth = 80

// composite is a literal of v's type, one item a line where it would be too long.
func composite(v reflect.Value, items []string) string {
	if line := v.Type().String() + "{" + strings.Join(items, ", ") + "}"; len(line) <= literalWidth {
		return line
	}
	return v.Type().String() + "{\n" + strings.Join(items, ",\n") + ",\n}"
}
