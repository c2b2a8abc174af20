// The editors that people type into, each in the smallest page that its authors would write. Next to the editor stands
// what its model holds: the DOM alone does not tell, since an editor draws it anew from its model.
import {createElement as h, useMemo, useState} from 'react';
import {createRoot} from 'react-dom/client';
import {createEditor as createSlate, Node} from 'slate';
import {Editable, Slate, withReact} from 'slate-react';
import {withHistory} from 'slate-history';
import {$createParagraphNode, $createTextNode, $getRoot, createEditor as createLexical} from 'lexical';
import {registerRichText} from '@lexical/rich-text';
import {createEmptyHistoryState, registerHistory} from '@lexical/history';
import Draft from 'draft-js';
import {EditorState} from 'prosemirror-state';
import {EditorView} from 'prosemirror-view';
import {schema} from 'prosemirror-schema-basic';
import {keymap} from 'prosemirror-keymap';
import {baseKeymap} from 'prosemirror-commands';
import {history} from 'prosemirror-history';
import Quill from 'quill';

const place = document.getElementById('editor'), out = document.getElementById('out');
const label = {'aria-label': 'Editor', role: 'textbox'};
const show = lines => { out.textContent = 'model: ' + lines.join('|') + '.'; };
const old = 'old text';

const editors = {
  slate() {
    const lines = value => value.map(n => Node.string(n));
    const App = () => {
      const editor = useMemo(() => withHistory(withReact(createSlate())), []);
      return h(Slate, {editor, initialValue: [{type: 'p', children: [{text: old}]}], onChange: v => show(lines(v))},
        h(Editable, label));
    };
    createRoot(place).render(h(App));
  },
  lexical() {
    const editor = createLexical({onError: e => { throw e; }});
    place.contentEditable = 'true';
    for (const [name, value] of Object.entries(label)) place.setAttribute(name, value);
    editor.setRootElement(place);
    registerRichText(editor);
    registerHistory(editor, createEmptyHistoryState(), 300);
    editor.update(() => $getRoot().append($createParagraphNode().append($createTextNode(old))));
    editor.registerUpdateListener(({editorState}) =>
      editorState.read(() => show($getRoot().getChildren().map(n => n.getTextContent()).join('|').split('\n'))));
  },
  draft() {
    const App = () => {
      const [state, set] = useState(() => Draft.EditorState.createWithContent(Draft.ContentState.createFromText(old)));
      const change = next => { set(next); show(next.getCurrentContent().getPlainText('|').split('\n')); };
      return h(Draft.Editor, {editorState: state, onChange: change, ariaLabel: 'Editor'});
    };
    createRoot(place).render(h(App));
  },
  prosemirror() {
    const doc = schema.node('doc', null, [schema.node('paragraph', null, [schema.text(old)])]);
    const view = new EditorView(place, {
      state: EditorState.create({doc, plugins: [history(), keymap(baseKeymap)]}),
      attributes: label,
      dispatchTransaction(tr) {
        view.updateState(view.state.apply(tr));
        const lines = [];
        view.state.doc.forEach(n => lines.push(n.textBetween(0, n.content.size, '|', '|')));
        show(lines);
      },
    });
  },
  quill() {
    const quill = new Quill(place);
    quill.root.setAttribute('aria-label', 'Editor');
    quill.root.setAttribute('role', 'textbox');
    quill.setText(old);
    quill.on('text-change', () => show(quill.getText().replace(/\n$/, '').split('\n')));
  },
};
editors[location.pathname.slice(1)]();
