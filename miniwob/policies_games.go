package miniwob

import (
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// board is one of tic-tac-toe, row by row: 'x' is ours, 'o' the opponent's, ' ' is free.
type board [9]byte

var ticTacToeLines = [][3]int{
	{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {0, 3, 6}, {1, 4, 7}, {2, 5, 8}, {0, 4, 8}, {2, 4, 6},
}

func (b board) won(who byte) bool {
	for _, l := range ticTacToeLines {
		if b[l[0]] == who && b[l[1]] == who && b[l[2]] == who {
			return true
		}
	}
	return false
}

// with is the board after a move.
func (b board) with(cell int, who byte) board {
	b[cell] = who
	return b
}

func (b board) free() (cells []int) {
	for i, c := range b {
		if c == ' ' {
			cells = append(cells, i)
		}
	}
	return cells
}

// careless is how often the opponent is taken to play anywhere. A draw is no win, so one
// has to be played for against an opponent who errs.
const careless = 0.4

// chance is how likely we are to win when it is our move.
func (b board) chance() (best float64, cell int) {
	cell = -1
	for _, i := range b.free() {
		chance := b.with(i, 'x').chanceOfReply()
		if cell < 0 || chance > best {
			best, cell = chance, i
		}
	}
	return best, cell
}

// chanceOfReply is how likely we are to win when it is the opponent's move.
func (b board) chanceOfReply() float64 {
	free := b.free()
	switch {
	case b.won('x'):
		return 1
	case len(free) == 0:
		return 0
	}
	sum := 0.0
	for _, i := range free {
		sum += b.chanceAfter(i)
	}
	chance := sum / float64(len(free))
	if i := b.needed(); i >= 0 {
		return careless*chance + (1-careless)*b.chanceAfter(i)
	}
	return chance
}

func (b board) chanceAfter(reply int) float64 {
	next := b.with(reply, 'o')
	if next.won('o') {
		return 0
	}
	chance, _ := next.chance()
	return chance
}

// needed is where the opponent wins, else where we would, or -1.
func (b board) needed() int {
	for _, who := range []byte{'o', 'x'} {
		for _, i := range b.free() {
			if b.with(i, who).won(who) {
				return i
			}
		}
	}
	return -1
}

// ticTacToe takes the cell that makes a win most likely.
func ticTacToe(w *World) modeltest.Call {
	cells := w.all("clickable", "image")
	if len(cells) < 9 {
		return fail("there is no board")
	}
	var b board
	for i := range b {
		switch cells[i].icon() {
		case "x":
			b[i] = 'x'
		case "o":
			b[i] = 'o'
		default:
			b[i] = ' '
		}
	}
	_, cell := b.chance()
	if cell < 0 || b.won('x') || b.won('o') {
		return modeltest.Done(true, "over")
	}
	return click(cells[cell])
}
