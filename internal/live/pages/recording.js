'use strict';
// The page of a recording: fetches pictures one by one, and shows each at its time.
(() => {
	const $ = id => document.getElementById(id);
	const canvas = $('picture'), pen = canvas.getContext('2d'), path = location.pathname.replace(/\/$/, '');
	const pictures = new Map();
	const kinds = {step: 'Step', action: 'Agent', page: 'Page', person: 'Person'};
	let film = null, at = 0, playing = false, last = 0, shown = -1, marked = -1;

	function say(text, is) { $('status').textContent = text; $('status').dataset.is = is; }
	function clock(ms) {
		const s = Math.floor(ms / 1000), two = n => String(n).padStart(2, '0');
		return s < 3600 ? Math.floor(s / 60) + ':' + two(s % 60) : Math.floor(s / 3600) + ':' + two(Math.floor(s / 60) % 60) + ':' + two(s % 60);
	}
	function spoken(ms) {
		const s = Math.floor(ms / 1000), of = (n, unit) => n + ' ' + unit + (n === 1 ? '' : 's');
		return (s >= 60 ? of(Math.floor(s / 60), 'minute') + ' ' : '') + of(s % 60, 'second');
	}

	// end says why nothing more is shown: beside the player, where that has something.
	function end(code, message) {
		const text = message.charAt(0).toUpperCase() + message.slice(1);
		say('Ended', 'end');
		if (film) { $('notice').textContent = text + ' (' + code + ').'; return; }
		$('endmessage').textContent = text + '.';
		$('endcode').textContent = code;
		$('columns').hidden = true;
		$('end').hidden = false;
		$('end').focus();
	}

	async function load() {
		let answer, body;
		try {
			const known = film ? '?fromFrame=' + film.frames.length + '&fromMark=' + film.marks.length : '';
			answer = await fetch(path + '/index' + known, {cache: 'no-store', referrerPolicy: 'no-referrer'});
			if (film && answer.status >= 500) throw new Error('not now');
			body = await answer.json();
		} catch {
			if (!film) return end('live.unreachable', 'the server cannot be reached');
			setTimeout(load, 5000); // it goes on, and more of it is known later
			return say('The server cannot be reached', 'end');
		}
		if (!answer.ok) return end(body.code, body.error);
		const first = !film;
		for (const [name, from] of [['frames', body.fromFrame], ['marks', body.fromMark]])
			body[name] = (from ? film[name].slice(0, from) : []).concat(body[name] || []);
		film = body;
		$('notice').textContent = '';
		say(film.running ? 'Still recording' : film.truncated ? 'Cut at its limit' : clock(film.durationMs) + ' long', film.running ? 'working' : 'wait');
		$('file').href = path + '/file';
		$('file').hidden = !film.frames.length;
		$('seek').max = film.durationMs;
		for (const id of ['seek', 'play']) $(id).disabled = !film.frames.length;
		$('cover').hidden = film.frames.length > 0;
		$('cover').textContent = film.frames.length ? '' : 'Nothing was shown yet.';
		showMarks(body.fromMark || 0);
		if (film.running) setTimeout(load, 5000);
		if (first) seek(0);
		else where();
	}

	// showMarks shows the marks from one on. Those before stay as they are: one of them may have the focus.
	function showMarks(from) {
		const list = $('marks');
		$('nomarks').hidden = film.marks.length > 0;
		while (list.childElementCount > from) list.lastElementChild.remove();
		list.append(...film.marks.slice(from).map(m => {
			const item = document.createElement('li'), button = document.createElement('button');
			button.type = 'button';
			button.dataset.at = m.atMs;
			for (const [name, text] of [['at', clock(m.atMs)], ['kind', kinds[m.kind] || m.kind], ['what', m.text]]) {
				const part = document.createElement('span');
				part.className = name;
				part.append(...text.split(/(?<=[/?&])/).flatMap(piece => [piece, document.createElement('wbr')])); // addresses break there
				button.append(part);
			}
			button.onclick = () => seek(m.atMs);
			item.append(button);
			return item;
		}));
	}

	// newest is the number of the newest of sorted things at a time, -1 before the first.
	function newest(count, timeOf, ms) {
		let low = -1, high = count - 1;
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (timeOf(middle) <= ms) low = middle; else high = middle - 1;
		}
		return low;
	}

	function picture(n) {
		if (!pictures.has(n)) {
			pictures.set(n, fetch(path + '/frames/' + n, {referrerPolicy: 'no-referrer'})
				.then(r => r.ok ? r.blob() : Promise.reject(new Error('gone'))).then(b => createImageBitmap(b)));
			pictures.get(n).catch(() => pictures.delete(n));
		}
		for (const old of pictures.keys()) {
			if (pictures.size <= 60) break;
			if (old !== n) pictures.delete(old);
		}
		return pictures.get(n);
	}

	async function draw() {
		if (!film.frames.length) return;
		const n = Math.max(newest(film.frames.length, i => film.frames[i], at), 0);
		for (let ahead = 1; ahead <= 4 && playing; ahead++) if (n + ahead < film.frames.length) picture(n + ahead).catch(() => {});
		if (n === shown) return;
		shown = n;
		try {
			const image = await picture(n);
			if (n !== shown) return;
			canvas.width = image.width;
			canvas.height = image.height;
			pen.drawImage(image, 0, 0);
			canvas.dataset.shown = n;
		} catch { shown = -1; $('notice').textContent = 'A picture could not be loaded. Load the page again.'; }
	}

	function where() {
		$('seek').value = at;
		const told = spoken(at) + ' of ' + spoken(film.durationMs), time = clock(at) + ' / ' + clock(film.durationMs);
		if ($('seek').getAttribute('aria-valuetext') !== told) $('seek').setAttribute('aria-valuetext', told);
		if ($('time').textContent !== time) $('time').textContent = time;
		const n = newest(film.marks.length, i => film.marks[i].atMs, at), buttons = $('marks').querySelectorAll('button');
		if (n === marked && (n < 0 || buttons[n].hasAttribute('aria-current'))) return;
		if (buttons[marked]) buttons[marked].removeAttribute('aria-current');
		marked = n;
		if (n < 0) return canvas.setAttribute('aria-label', 'Picture of the browser');
		buttons[n].setAttribute('aria-current', 'true');
		if (playing) buttons[n].scrollIntoView({block: 'nearest'});
		canvas.setAttribute('aria-label', 'Picture of the browser. ' + film.marks[n].text);
	}

	function seek(ms) {
		at = Math.min(Math.max(ms, 0), film.durationMs);
		where();
		draw();
	}

	function play(on) {
		playing = on;
		$('play').textContent = on ? 'Pause' : 'Play';
		last = performance.now();
		if (on && at >= film.durationMs) at = 0;
		if (on) requestAnimationFrame(tick);
	}

	function tick(now) {
		if (!playing) return;
		seek(at + (now - last) * Number($('speed').value));
		last = now;
		if (at >= film.durationMs) return play(false);
		requestAnimationFrame(tick);
	}

	$('play').onclick = () => play(!playing);
	$('seek').oninput = () => seek(Number($('seek').value));
	$('seek').onkeydown = e => {
		const steps = {ArrowLeft: -1e3, ArrowDown: -1e3, ArrowRight: 1e3, ArrowUp: 1e3, PageDown: -1e4, PageUp: 1e4,
			Home: -Infinity, End: Infinity};
		if (!(e.key in steps) || e.altKey || e.ctrlKey || e.metaKey) return;
		e.preventDefault();
		seek(at + steps[e.key]);
	};
	document.addEventListener('keydown', e => {
		if (e.key === ' ' && e.target === document.body && film && film.frames.length) { e.preventDefault(); play(!playing); }
	});
	load();
})();
