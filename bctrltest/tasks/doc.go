// Package tasks has an agent do thirty things that people do in web applications, on
// small sites of its own: shop, fill in forms, read tables, upload, pay in a frame of
// somebody else, drag, pick dates.
//
// The model is scripted, as in the folder miniwob: for each task somebody wrote what a
// model would do, from the view of the page and the pictures alone, with the agent's
// tools alone. Whether a task was done is judged by what arrived at the site, by what
// lies in storage and by the data that a call returned, and by nothing that the model
// says of its work. So the score measures eyes and hands, and nobody's model.
//
// A new task is a page in testdata, a function that returns a task, and a line in the
// list of tasks.
package tasks
