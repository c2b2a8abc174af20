'use strict';
// The page of a live view: draws the pictures that the server sends, and sends what a person
// does who has taken the browser over. Places are sent as shares of the picture, so that
// they are right at any zoom.
(() => {
	const $ = id => document.getElementById(id);
	const canvas = $('picture'), keys = $('keys'), pen = canvas.getContext('2d');
	const path = location.pathname.replace(/\/$/, '');
	const kept = 'bctrl ' + path;
	let socket, state = null, session = recall(), over = false, retries = 0, continuesAt = 0, newest = 0, size = [1280, 800];

	function recall() { try { return sessionStorage.getItem(kept) || ''; } catch { return ''; } }
	function remember(text) { try { sessionStorage.setItem(kept, text); } catch { /* it is open until it is loaded again */ } }

	function end(code, message, hint, title) {
		over = true;
		if (socket) socket.close();
		if ($('ask').open) $('ask').close();
		$('endtitle').textContent = title || 'The live view has ended';
		$('endmessage').textContent = message.charAt(0).toUpperCase() + message.slice(1) + '.';
		$('endhint').textContent = hint ? hint.charAt(0).toUpperCase() + hint.slice(1) + '.' : '';
		$('endcode').textContent = code;
		for (const part of document.querySelectorAll('.tabs, .place, .stage, .foot, #actions')) part.hidden = true;
		say('Ended', 'end');
		$('end').hidden = false;
		$('end').focus();
	}

	async function open() {
		let answer, body;
		try {
			answer = await fetch(path + '/open', {
				method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(session ? {session} : {}),
				cache: 'no-store', referrerPolicy: 'no-referrer',
			});
			body = await answer.json();
		} catch { return again(); }
		if (!answer.ok) return end(body.code, body.error, body.hint, 'This live view cannot be shown');
		session = body.session;
		remember(session);
		connect();
	}

	function connect() {
		socket = new WebSocket(location.origin.replace(/^http/, 'ws') + path + '/socket');
		socket.binaryType = 'arraybuffer';
		socket.onopen = () => send({type: 'hello', session});
		socket.onmessage = e => typeof e.data === 'string' ? hear(JSON.parse(e.data)) : draw(e.data);
		socket.onclose = () => { if (!over) again(); };
	}

	// again opens the view once more where the connection was lost, a few times.
	function again() {
		if (over) return;
		if (retries++ === 6) return end('live.unreachable', 'the server cannot be reached', 'load the page again later');
		say('Connecting again …', 'wait');
		setTimeout(open, 500 * 2 ** (retries - 1));
	}

	function send(message) { if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message)); }
	function gesture(what) { if (mine()) send({type: 'gesture', gesture: what}); }
	function mine() { return state && state.person === 'you'; }

	function hear(message) {
		if (message.type === 'state') { retries = 0; show(message); }
		if (message.type === 'end') end(message.code, message.message, message.hint);
		if (message.type === 'refused') warn(message.message + (message.hint ? ': ' + message.hint : ''));
	}

	let noticed;
	function warn(text) {
		$('notice').textContent = text.charAt(0).toUpperCase() + text.slice(1) + '.';
		clearTimeout(noticed);
		noticed = setTimeout(() => { $('notice').textContent = ''; }, 8000);
	}

	function say(text, is) {
		if ($('status').textContent !== text) $('status').textContent = text;
		$('status').dataset.is = is;
	}

	// draw draws a picture; those that come while one is decoded take its place.
	let waiting = null, drawing = false;
	async function draw(data) {
		waiting = data;
		if (drawing) return;
		drawing = true;
		while (waiting) {
			const bytes = waiting, head = new DataView(bytes, 0, 12);
			waiting = null;
			newest = head.getUint32(0);
			size = [head.getUint32(4), head.getUint32(8)];
			if (bytes.byteLength > 12) {
				try {
					const image = await createImageBitmap(new Blob([new Uint8Array(bytes, 12)], {type: 'image/jpeg'}));
					if (canvas.width !== image.width || canvas.height !== image.height) {
						canvas.width = image.width;
						canvas.height = image.height;
					}
					pen.drawImage(image, 0, 0);
					image.close();
					cover('');
				} catch { /* the next one comes */ }
			} else cover('The page changes too fast for what was filled to be masked. It is shown again once it rests.');
			canvas.dataset.shown = newest;
			send({type: 'shown', number: newest});
		}
		drawing = false;
	}

	function cover(text) {
		$('cover').hidden = !text;
		if ($('cover').textContent !== text) $('cover').textContent = text;
	}

	function show(now) {
		const before = state;
		state = now;
		const tab = now.tabs.find(t => t.id === now.shown);
		canvas.setAttribute('aria-label', 'Picture of the browser' + (tab && tab.title ? ': ' + tab.title : ''));
		$('address').textContent = !tab || !tab.url ? 'No address' : isEmpty(tab) ? 'Empty page' : tab.url;
		showTabs(now);
		if (now.hidden) cover('This tab is outside of what the live view may show.');
		$('actions').hidden = !now.interactive;
		const you = mine();
		document.body.classList.toggle('taken', !!you);
		$('history').hidden = !you;
		$('keyboard').hidden = !you || !matchMedia('(pointer: coarse)').matches;
		$('take').textContent = you ? 'Hand back' : 'Take over';
		$('take').disabled = now.person === 'other';
		if (!you && document.activeElement === keys) $('take').focus();
		keys.hidden = $('keyshelp').hidden = !you;
		if (you && (!before || before.person !== 'you')) keys.focus({preventScroll: true});
		continuesAt = now.waiting ? Date.now() + (now.continuesMs || 0) : 0;
		count();
		$('doing').textContent = now.doing || '';
		if (you) say(now.waiting ? 'You have taken over, the agent waits' : 'You have taken over', 'person');
		else if (now.person) say('Another person has taken over', 'person');
		else if (now.working) say('Connected, agent working', 'working');
		else say('Connected, idle', 'wait');
		showDialog(now, you);
	}

	function count() {
		const left = Math.ceil((continuesAt - Date.now()) / 1000);
		$('count').textContent = continuesAt && left > 0 ? 'The agent goes on in ' + left + ' s if nothing is done' : '';
	}
	setInterval(count, 500);

	function isEmpty(tab) { return /^about:blank\b/.test(tab.url); }

	let chosen = ''; // the tab that was scrolled to last
	function showTabs(now) {
		const list = $('tabs'), focused = document.activeElement && document.activeElement.dataset.tab;
		list.replaceChildren(...now.tabs.map(t => {
			const item = document.createElement('li'), button = document.createElement('button'), name = document.createElement('span');
			button.type = 'button';
			button.dataset.tab = t.id;
			name.textContent = isEmpty(t) ? 'New tab' : t.title || t.url || 'Tab that is not shown';
			button.append(name);
			if (t.id === now.shown) button.setAttribute('aria-current', 'true');
			button.title = name.textContent;
			button.onclick = () => send({type: 'tab', tab: t.id});
			item.append(button);
			return item;
		}));
		if (!now.following) {
			const item = document.createElement('li'), button = document.createElement('button');
			button.type = 'button';
			button.dataset.tab = 'follow';
			button.textContent = 'Follow the browser';
			button.onclick = () => send({type: 'tab', tab: ''});
			item.append(button);
			list.append(item);
		}
		if (focused) {
			const same = list.querySelector('[data-tab="' + CSS.escape(focused) + '"]');
			if (same) same.focus();
		}
		const current = list.querySelector('[aria-current]');
		if (current && chosen !== now.shown) {
			current.scrollIntoView({block: 'nearest', inline: 'nearest'});
			chosen = now.shown;
		}
	}

	function showDialog(now, you) {
		const box = $('ask'), d = you ? now.dialog : null; // others are told of it, and see what they looked at
		$('asks').textContent = !now.dialog || you ? '' : 'The page asks: ' + (now.dialog.message || 'whether to leave it') +
			(now.interactive && !now.person ? ' (Take over to answer.)' : '');
		if (!d) { if (box.open) { box.close(); if (you) keys.focus(); } return; }
		$('askmessage').textContent = d.message || (d.kind === 'beforeunload' ? 'Leave the page? What was not saved is lost.' : '');
		$('asklabel').hidden = d.kind !== 'prompt';
		$('askno').hidden = d.kind === 'alert';
		if (!box.open) {
			$('askanswer').value = d.default || '';
			box.showModal();
			$(d.kind === 'prompt' ? 'askanswer' : 'askyes').focus(); // as a browser's own
		}
	}
	function answer(kind) {
		const text = kind === 'accept' && !$('asklabel').hidden ? $('askanswer').value : '';
		gesture({kind, text});
		$('ask').close();
	}
	$('askyes').onclick = () => answer('accept');
	$('askno').onclick = () => answer('dismiss');
	$('askform').onsubmit = e => { e.preventDefault(); answer('accept'); };
	$('ask').oncancel = e => { e.preventDefault(); answer('dismiss'); };

	$('take').onclick = () => send({type: mine() ? 'handBack' : 'take'});
	$('keyboard').onclick = () => keys.focus({preventScroll: true});
	for (const kind of ['back', 'forward', 'reload']) $(kind).onclick = () => gesture({kind});

	// The mouse.
	const names = ['left', 'middle', 'right'];
	function held(e) {
		const all = [['Control', e.ctrlKey], ['Shift', e.shiftKey], ['Alt', e.altKey], ['Meta', e.metaKey]];
		return all.filter(k => k[1]).map(k => k[0]);
	}
	function place(at) {
		const box = canvas.getBoundingClientRect(), share = n => Math.min(Math.max(n, 0), 1);
		return {x: share((at.clientX - box.left) / box.width), y: share((at.clientY - box.top) / box.height)};
	}
	let pressed = false, moved = null;
	canvas.addEventListener('mousedown', e => {
		if (!mine()) {
			if (state && state.interactive && !state.person) warn('take the browser over to use it');
			return;
		}
		if (e.button > 2) return;
		e.preventDefault();
		keys.focus({preventScroll: true});
		pressed = true;
		flushMove();
		gesture({kind: 'mousedown', ...place(e), button: names[e.button], buttons: e.buttons, count: Math.min(e.detail || 1, 3),
			modifiers: held(e)});
	});
	window.addEventListener('mouseup', e => {
		if (!pressed || !mine() || e.button > 2) return;
		e.preventDefault();
		pressed = e.buttons !== 0;
		flushMove();
		gesture({kind: 'mouseup', ...place(e), button: names[e.button], buttons: e.buttons, count: Math.min(e.detail || 1, 3),
			modifiers: held(e)});
	});
	window.addEventListener('mousemove', e => {
		if (!mine() || !pressed && e.target !== canvas) return;
		if (!moved) requestAnimationFrame(flushMove);
		moved = {kind: 'mousemove', ...place(e), buttons: pressed ? e.buttons : 0, modifiers: held(e)};
	});
	function flushMove() { if (moved) gesture(moved); moved = null; }
	canvas.addEventListener('contextmenu', e => { if (mine()) e.preventDefault(); });
	canvas.addEventListener('wheel', e => {
		if (!mine()) return;
		e.preventDefault();
		const unit = [1, 40, size[1]][e.deltaMode], scale = size[0] / canvas.getBoundingClientRect().width;
		const by = e.deltaMode ? unit : unit * Math.max(scale, 1);
		gesture({kind: 'wheel', ...place(e), dx: e.deltaX * by, dy: e.deltaY * by, modifiers: held(e)});
	}, {passive: false});

	// Touch.
	for (const kind of ['touchstart', 'touchmove', 'touchend', 'touchcancel'])
		canvas.addEventListener(kind, e => {
			if (!mine()) {
				if (kind === 'touchend' && state && state.interactive && !state.person) warn('take the browser over to use it');
				return;
			}
			e.preventDefault(); // or it came as a mouse once more
			const points = [...e.touches].map(t => ({id: t.identifier % 1000, ...place(t)}));
			gesture({kind, points: kind === 'touchcancel' ? [] : points, modifiers: held(e)});
		}, {passive: false});

	// The keyboard. The field has the focus, so that input methods, phones' keyboards and
	// what is pasted work as in any other.
	const filler = '​​';
	let sent = ''; // the key that was sent last: what it writes here is not sent once more
	function refill() { keys.value = filler; keys.setSelectionRange(1, 1); }
	keys.addEventListener('focus', refill);
	keys.addEventListener('keydown', e => {
		if (e.key === 'F6') { e.preventDefault(); $('take').focus(); return; }
		if (e.isComposing || e.keyCode === 229 || e.key === 'Unidentified' || !mine()) return;
		if ((e.ctrlKey || e.metaKey) && !e.altKey && e.key.toLowerCase() === 'v') return; // comes as a paste
		e.preventDefault();
		sent = e.key;
		const writes = e.key.length === 1 && (!e.ctrlKey && !e.metaKey || e.getModifierState('AltGraph'));
		gesture({kind: 'keydown', key: e.key, code: e.code, text: writes ? e.key : '', repeat: e.repeat,
			modifiers: e.getModifierState('AltGraph') ? [] : held(e)});
	});
	keys.addEventListener('keyup', e => {
		sent = '';
		if (e.isComposing || e.keyCode === 229 || e.key === 'Unidentified' || e.key === 'F6' || !mine()) return;
		e.preventDefault();
		gesture({kind: 'keyup', key: e.key, code: e.code, modifiers: held(e)});
	});
	keys.addEventListener('paste', e => {
		e.preventDefault();
		const text = e.clipboardData.getData('text/plain');
		if (text) gesture({kind: 'text', text});
	});
	keys.addEventListener('compositionupdate', e => gesture({kind: 'compose', text: e.data || ''}));
	keys.addEventListener('compositionend', e => {
		gesture({kind: 'compose', text: ''});
		if (e.data) gesture({kind: 'text', text: e.data});
		setTimeout(refill);
	});
	keys.addEventListener('input', e => {
		if (e.isComposing) return;
		if (sent && e.data === sent) return refill();
		if (e.inputType === 'insertText' && e.data) gesture({kind: 'text', text: e.data});
		if (e.inputType === 'insertLineBreak') press('Enter');
		if (e.inputType === 'deleteContentBackward') press('Backspace');
		if (e.inputType === 'deleteContentForward') press('Delete');
		refill();
	});
	function press(key) { for (const kind of ['keydown', 'keyup']) gesture({kind, key, code: key}); }

	open();
})();
