package bctrl

import "errors"

// ActStep makes a step of [CallAct].
func ActStep(args ActArgs) (Step, error) { return checkedStep(CallAct, args) }

// ObserveStep makes a step of [CallObserve].
func ObserveStep(args ObserveArgs) (Step, error) { return checkedStep(CallObserve, args) }

// ExtractStep makes a step of [CallExtract].
func ExtractStep(args ExtractArgs) (Step, error) { return checkedStep(CallExtract, args) }

// AgentStep makes a step of [CallAgent].
func AgentStep(args AgentArgs) (Step, error) { return checkedStep(CallAgent, args) }

// BrowserUseStep makes a step of [CallBrowserUse].
func BrowserUseStep(args BrowserUseArgs) (Step, error) { return checkedStep(CallBrowserUse, args) }

// GotoStep makes a step of [CallGoto].
func GotoStep(args GotoArgs) (Step, error) { return checkedStep(CallGoto, args) }

// ScreenshotStep makes a step of [CallScreenshot].
func ScreenshotStep(args ScreenshotArgs) (Step, error) { return stepOf(CallScreenshot, args) }

// PDFStep makes a step of [CallPDF].
func PDFStep(options PDFOptions) (Step, error) { return checkedStep(CallPDF, options) }

// FillStep makes a step of [CallFill].
func FillStep(args FillArgs) (Step, error) { return checkedStep(CallFill, args) }

// PagesStep makes a step of [CallPages].
func PagesStep(args PagesArgs) (Step, error) { return checkedStep(CallPages, args) }

// checkedStep makes a step of arguments that can be carried out.
func checkedStep[T interface{ Validate() error }](call Call, args T) (Step, error) {
	if err := underField("args", args.Validate()); err != nil {
		return Step{}, err
	}
	return stepOf(call, args)
}

// underField returns a refusal of what stands in a field with its own fields as they
// stand around that.
func underField(outer string, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Field == "" {
		return err
	}
	e.Field = outer + "." + e.Field
	for i := range e.Problems {
		e.Problems[i].Field = outer + "." + e.Problems[i].Field
	}
	return err
}

func stepOf[T any](call Call, args T) (Step, error) {
	text, err := encode("args", args)
	if err != nil {
		return Step{}, err
	}
	return Step{Call: call, Args: text}, nil
}
