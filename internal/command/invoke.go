package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// invokeHelp says in the manual of a command what it calls.
const invokeHelp = `

The server finds the credential: the one that --credential names, else the
group's, else the workspace's, else a global one. The key stays there. What the
capability does not permit is refused, and every call is in 'bctrl audit tail'.

Without --method and --path it is the first that the capability permits, with a
body POST. The exit code is 1 when the provider answers with an error, whose
body is printed all the same.`

func invokeCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "invoke <capability>",
		Short: "Call a provider, and print its answer as it is",
		Long:  `Call a provider as a capability, and print the body of its answer as it is.` + invokeHelp,
		Example: `  bctrl invoke github/repos --workspace-id sales --path /repos/acme/site
  bctrl invoke openai/chat-completions --workspace-id sales --group-id emea --body '{"messages": []}'
  bctrl invoke openai/chat-completions --workspace-id sales --stream --body-file question.json
  bctrl invoke openai/transcription --workspace-id sales --multipart-field model=m --multipart-file file=call.wav`,
		Args: arguments(1, 1),
	}
	f := c.addInvocationFlags(cmd)
	stream := cmd.Flags().Bool("stream", false, "print the answer as it comes")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.invoking(cmd, f, args[0], func(ctx context.Context, client *bctrl.Client, inv bctrl.Invocation) error {
			if !*stream {
				answer, err := client.Capabilities.Invoke(ctx, inv)
				if err != nil {
					return err
				}
				if _, err := cmd.OutOrStdout().Write(answer.Body); err != nil {
					return err
				}
				return answered(answer.Status)
			}
			s, err := client.Capabilities.Stream(ctx, inv)
			if err != nil {
				return err
			}
			defer s.Close()
			for chunk, err := range s.Chunks() {
				if err == nil {
					_, err = cmd.OutOrStdout().Write(chunk)
				}
				if err != nil {
					return err
				}
			}
			return answered(s.Status)
		})
	}
	return cmd
}

func jsonCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "json <capability>",
		Short:   "Call a provider, and print its answer as JSON for people",
		Long:    `Call a provider as a capability, and print the JSON of its answer, indented.` + invokeHelp,
		Example: `  bctrl json github/repos --workspace-id sales --path /repos/acme/site`,
		Args:    arguments(1, 1),
	}
	f := c.addInvocationFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.invoking(cmd, f, args[0], func(ctx context.Context, client *bctrl.Client, inv bctrl.Invocation) error {
			answer, err := client.Capabilities.Invoke(ctx, inv)
			if err != nil {
				return err
			}
			text, err := indented(answer.Body)
			if err != nil {
				return errors.Join(errNotJSON, answered(answer.Status))
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), text+"\n"); err != nil {
				return err
			}
			return answered(answer.Status)
		})
	}
	return cmd
}

func markdownCommand(c *cli) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "markdown <capability>",
		Aliases: []string{"md"},
		Short:   "Call a provider, and print its answer as Markdown",
		Long: `Call a provider as a capability, and print its answer as Markdown, which models
read well: fields as lists, texts of several lines as they are below their name.
An answer that is no JSON is printed as it is.` + invokeHelp,
		Example: `  bctrl markdown github/repos --workspace-id sales --path /repos/acme/site
  bctrl markdown openai/responses --workspace-id sales --exclude-field usage --wrap-field content --body '{}'
  bctrl markdown github/repos --workspace-id sales --path /repos/acme/site --namespace data`,
		Args: arguments(1, 1),
	}
	f := c.addInvocationFlags(cmd)
	var as markdown
	cmd.Flags().StringVar(&as.namespace, "namespace", "", "put the answer between <begin `name`> and </end name>")
	cmd.Flags().StringSliceVar(&as.exclude, "exclude-field", nil, "leave out a `field`, wherever it is")
	cmd.Flags().StringSliceVar(&as.wrap, "wrap-field", nil,
		"put the text of a `field` into a block of its own, as Markdown that is not to mix with the rest")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return c.invoking(cmd, f, args[0], func(ctx context.Context, client *bctrl.Client, inv bctrl.Invocation) error {
			answer, err := client.Capabilities.Invoke(ctx, inv)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), as.text(answer.Body)); err != nil {
				return err
			}
			return answered(answer.Status)
		})
	}
	return cmd
}

var errNotJSON = errors.New("the provider's answer is not JSON: see it with 'bctrl invoke'")

// answered is the error of a provider's answer that is none of success.
func answered(status int) error {
	if status < 400 {
		return nil
	}
	return fmt.Errorf("the provider answered %d %s", status, http.StatusText(status))
}

// invocationFlags say what is called and how.
type invocationFlags struct {
	inv                  bctrl.Invocation
	where                *scopeFlags
	query, headers       []string
	body, bodyFile       string
	request, requestFile string
	fields, files        []string
	timeout              time.Duration
	timeoutMs            int64
}

func (c *cli) addInvocationFlags(cmd *cobra.Command) *invocationFlags {
	f := &invocationFlags{where: &scopeFlags{}}
	c.reaching(cmd)
	c.addGroupFlags(cmd, f.where)
	flags := cmd.Flags()
	flags.StringVar(&f.inv.Credential, "credential", "", "`id` of the credential to call with")
	flags.StringVar(&f.inv.Consumer, "consumer", "", "`who` the call is for, where a secret is bound for one alone")
	flags.StringVar(&f.inv.Method, "method", "", "HTTP `method`")
	flags.StringVar(&f.inv.Path, "path", "", "`path` at the provider, percent-encoded; a query may follow")
	flags.StringVar(&f.inv.Host, "host", "", "`host`, where the provider has several")
	flags.StringArrayVar(&f.query, "query", nil, "a parameter of the query, as `name=value`")
	flags.StringArrayVar(&f.headers, "header", nil, "a header, as `\"Name: value\"`")
	flags.StringVar(&f.body, "body", "", "the body, as `JSON`")
	flags.StringVar(&f.bodyFile, "body-file", "", "send a `file` as the body; - is standard input")
	flags.StringArrayVar(&f.fields, "multipart-field", nil, "a field of a form, as `name=value`")
	flags.StringArrayVar(&f.files, "multipart-file", nil, "a file of a form, as `name=path`")
	flags.StringVar(&f.request, "request", "", "all of the request as the `JSON` of the HTTP API; flags go before it")
	flags.StringVar(&f.requestFile, "request-file", "", "the same from a `file`")
	flags.DurationVar(&f.timeout, "timeout", 0, "how long the provider may take, such as 90s (default 2m, or 30m with "+
		"--stream)")
	flags.Int64Var(&f.timeoutMs, "timeout-ms", 0, "the same in `milliseconds`")
	flags.StringVar(&f.bodyFile, "body-file-path", "", "")
	_ = flags.MarkHidden("body-file-path") // its name in another program
	cmd.ValidArgsFunction = c.completing(capabilityIDs)
	return f
}

// invoking makes the invocation that the flags describe.
func (c *cli) invoking(
	cmd *cobra.Command, f *invocationFlags, capability string, do func(context.Context, *bctrl.Client,
		bctrl.Invocation) error,
) (err error) {
	for _, flags := range [][]string{{"body", "body-file", "body-file-path", "multipart-field"},
		{"body", "body-file", "body-file-path", "multipart-file"},
		{"request", "request-file"}, {"timeout", "timeout-ms"}} {
		given := slices.DeleteFunc(flags, func(name string) bool { return !cmd.Flags().Changed(name) })
		if len(given) > 1 {
			return usagef("want one of --%s", strings.Join(given, " and --"))
		}
	}
	inv := f.inv
	inv.Capability = capability
	if inv.Context, err = f.where.context(cmd); err != nil {
		return err
	}
	if err := f.fromRequest(&inv); err != nil {
		return err
	}
	if f.timeoutMs != 0 {
		f.timeout = ofMillis(f.timeoutMs)
	}
	if f.timeout < 0 {
		return usagef("--timeout %s: want a time ahead", f.timeout)
	}
	if f.timeout > 0 {
		inv.Timeout = f.timeout
	}
	if err := f.address(&inv); err != nil {
		return err
	}
	for _, text := range f.headers {
		name, value, ok := strings.Cut(text, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return usagef("--header %s: want \"Name: value\"", printable(text))
		}
		if inv.Header == nil {
			inv.Header = http.Header{}
		}
		inv.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	closers, err := f.content(cmd, &inv)
	defer func() {
		for _, closer := range closers {
			_ = closer.Close() // it was read
		}
	}()
	if err != nil {
		return err
	}
	return c.with(cmd, func(ctx context.Context, client *bctrl.Client) error { return do(ctx, client, inv) })
}

// address takes the query out of the path, and adds what flags say.
func (f *invocationFlags) address(inv *bctrl.Invocation) error {
	path, query, _ := strings.Cut(inv.Path, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return usagef("--path: its query is malformed")
	}
	for name, v := range inv.Query {
		values[name] = append(values[name], v...)
	}
	for _, text := range f.query {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return usagef("--query %s: want name=value", printable(text))
		}
		values.Add(name, value)
	}
	inv.Path, inv.Query = path, values
	return nil
}

// content finds the body, and what is to be closed once it was sent.
func (f *invocationFlags) content(cmd *cobra.Command, inv *bctrl.Invocation) (closers []io.Closer, err error) {
	switch {
	case cmd.Flags().Changed("body"):
		inv.RawBody = strings.NewReader(f.body)
	case f.bodyFile == "-":
		inv.RawBody = cmd.InOrStdin()
	case f.bodyFile != "":
		file, err := os.Open(f.bodyFile)
		if err != nil {
			return nil, usageError{err}
		}
		inv.RawBody, closers = file, append(closers, file)
	}
	for _, text := range f.fields {
		name, value, ok := strings.Cut(text, "=")
		if !ok {
			return closers, usagef("--multipart-field %s: want name=value", printable(text))
		}
		inv.Multipart = append(inv.Multipart, bctrl.FormPart{Name: name, Value: value})
	}
	for _, text := range f.files {
		name, path, ok := strings.Cut(text, "=")
		if !ok {
			return closers, usagef("--multipart-file %s: want name=path", printable(text))
		}
		file, err := os.Open(path)
		if err != nil {
			return closers, usageError{err}
		}
		closers = append(closers, file)
		inv.Multipart = append(inv.Multipart, bctrl.FormPart{
			Name:        name,
			Content:     file,
			Filename:    filepath.Base(path),
			ContentType: "application/octet-stream",
		})
	}
	if inv.RawBody != nil && inv.Header.Get("Content-Type") == "" {
		if inv.Header == nil {
			inv.Header = http.Header{}
		}
		inv.Header.Set("Content-Type", "application/json")
	}
	return closers, nil
}

// ofMillis is the longest time there is for more milliseconds than it has, which is refused as too long.
func ofMillis(ms int64) time.Duration {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(max(-longest, min(ms, longest))) * time.Millisecond
}

// fromRequest fills in what a whole request says and no flag does.
func (f *invocationFlags) fromRequest(inv *bctrl.Invocation) error {
	text := []byte(f.request)
	switch {
	case f.requestFile != "":
		var err error
		if text, err = os.ReadFile(f.requestFile); err != nil {
			return usageError{err}
		}
	case f.request == "":
		return nil
	}
	var in wire.Invocation[bctrl.Scope]
	if err := strictjson.Unmarshal(text, &in); err != nil {
		return usageError{about("the request is not that of an invocation", err)}
	}
	fill := func(to *string, with string) {
		if *to == "" {
			*to = with
		}
	}
	fill(&inv.Credential, in.Credential)
	fill(&inv.Consumer, in.Consumer)
	fill(&inv.Method, in.Method)
	fill(&inv.Path, in.Path)
	fill(&inv.Host, in.Host)
	if inv.Context.IsZero() {
		inv.Context = in.Context
	}
	inv.Query, inv.Timeout = in.Query, ofMillis(in.TimeoutMs)
	for name, value := range in.Headers {
		if inv.Header == nil {
			inv.Header = http.Header{}
		}
		inv.Header.Set(name, value)
	}
	if in.Body != nil {
		inv.Body = in.Body
	}
	if in.RawBody != nil {
		inv.RawBody = strings.NewReader(string(in.RawBody))
	}
	for _, p := range in.Multipart {
		part := bctrl.FormPart{
			Name:        p.Name,
			Value:       p.Value,
			Filename:    p.Filename,
			ContentType: p.ContentType,
		}
		if p.Data != nil {
			part.Content = strings.NewReader(string(p.Data))
		}
		inv.Multipart = append(inv.Multipart, part)
	}
	return nil
}
