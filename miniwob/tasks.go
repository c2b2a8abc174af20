package miniwob

import "strings"

// Kind is a group of tasks that ask for the same of eyes and hands.
type Kind struct {
	Name  string
	Tasks []string
}

// Kinds are the 125 standard tasks of MiniWoB++ 1.1.0: those that the package
// registers, without the three of airlines, which it counts apart. A score is over
// all of them, whether or not there is a policy.
func Kinds() []Kind {
	return []Kind{
		{"buttons, links and boxes", strings.Fields(`
			ascending-numbers click-button click-button-sequence click-checkboxes click-checkboxes-large
			click-checkboxes-soft click-checkboxes-transfer click-dialog click-dialog-2 click-link click-option
			click-test click-test-2 click-test-transfer click-widget focus-text focus-text-2 number-checkboxes
			odd-or-even tic-tac-toe unicode-test`)},
		{"menus, tabs, trees and lists", strings.Fields(`
			choose-list click-collapsible click-collapsible-2 click-collapsible-2-nodelay
			click-collapsible-nodelay click-menu click-menu-2 click-pie click-pie-nodelay click-scroll-list
			click-tab click-tab-2 click-tab-2-easy click-tab-2-hard click-tab-2-medium navigate-tree`)},
		{"dates, times and sliders", strings.Fields(`
			choose-date choose-date-easy choose-date-medium choose-date-nodelay daily-calendar enter-date
			enter-time use-slider use-slider-2 use-spinner`)},
		{"forms and text", strings.Fields(`
			copy-paste copy-paste-2 enter-password enter-text enter-text-2 enter-text-dynamic form-sequence
			form-sequence-2 form-sequence-3 highlight-text highlight-text-2 login-user login-user-popup
			multi-layouts multi-orderings resize-textarea scroll-text scroll-text-2 sign-agreement terminal
			text-editor text-transform use-autocomplete use-autocomplete-nodelay`)},
		{"reading and reckoning", strings.Fields(`
			find-greatest find-word generate-number guess-number read-table read-table-2 simple-algebra
			simple-arithmetic`)},
		{"small applications", strings.Fields(`
			book-flight book-flight-nodelay buy-ticket email-inbox email-inbox-delete email-inbox-forward
			email-inbox-forward-nl email-inbox-forward-nl-turk email-inbox-important email-inbox-nl-turk
			email-inbox-noscroll email-inbox-reply email-inbox-star-reply order-food phone-book search-engine
			social-media social-media-all social-media-some stock-market`)},
		{"colours, shapes and drawing", strings.Fields(`
			bisect-angle circle-center click-color click-shades click-shape count-shape count-sides draw-circle
			draw-line find-midpoint grid-coordinate hot-cold identify-shape right-angle use-colorwheel
			use-colorwheel-2 visual-addition`)},
		{"dragging", strings.Fields(`
			drag-box drag-circle drag-cube drag-items drag-items-grid drag-shapes drag-shapes-2
			drag-single-shape drag-sort-numbers`)},
	}
}
