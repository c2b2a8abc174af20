package devtools

import (
	"context"

	"github.com/chromedp/cdproto/target"
)

// This file is the whole policy of what a DevTools client from outside may
// do. Who holds a runtime's connect URL may drive its pages in every way that
// a person at the keyboard and the developer tools could, and must not reach
// past them: not the machine, not the server, not another runtime, not the
// values that the server swaps into outgoing requests.

// rule decides about one command, or with the name "Domain.*" about the
// commands of a domain that have no row of their own.
type rule struct {
	name string
	// check sees, and may change, the parameters of a permitted command. nil
	// leaves them alone.
	check func(*filter, params) error
	// checkIn is check for what also depends on the session that the command is for.
	checkIn func(context.Context, *filter, target.SessionID, params) error
	// slow says that checkIn takes time: the client's other commands do not wait for it.
	slow bool
	// refuse is why the command is not permitted; empty permits.
	refuse string
	// ignore is why the command is answered as if it were done, but not passed on:
	// clients give it as they connect, and would give up without it.
	ignore string
	// scan says that its answers are whole texts: one that holds a filled value is refused,
	// where in others the value is taken out.
	scan bool
}

// The reasons, each after the code that it begins with. Those that end in ": " are
// completed where they are used.
const (
	badParams  = "devtools.params_unreadable: its parameters are not what the protocol has, each name once"
	agentsName = "devtools.binding_name: in every context it would stand in for what the scripts of agents " +
		"use: name a context, or choose a name that no global has"
	agentsWorld  = "devtools.agents_world: it may reach the world of the scripts of agents"
	badAddress   = "devtools.address_refused: "
	endsRuntime  = "devtools.ends_runtime: it would end the runtime: stop the runtime instead"
	endsTab      = "devtools.ends_tab: it would end a tab that the agent may be using"
	exposes      = "devtools.unfiltered: it would let commands past this filter: attach with flatten"
	holdsFill    = "devtools.holds_fill: "
	notKnown     = "devtools.not_permitted: it is not known to be safe"
	notOwn       = "devtools.not_own: "
	oldFetch     = "devtools.old_interception: requests are intercepted with Fetch.enable alone"
	ownsFiles    = "devtools.downloads: downloads are the server's: they go to the mounted storage"
	ownsWorkers  = "devtools.workers: it reaches workers that no tab of the client owns"
	passesProxy  = "devtools.passes_proxy: it would reach the network past the egress policy"
	readsFiles   = "devtools.machine_files: it would hand files of the machine to a page"
	resendsFill  = "devtools.resends: it would send a request again that may carry a secret"
	seesMachine  = "devtools.machine: it shows the machine, not the page"
	trustsNobody = "devtools.certificates: origins are only as true as their certificates, and secrets are " +
		"filled by origin"
)

// clientRules is searched for the exact name, then for "Domain.*"; what has
// neither is refused. Domains that hold something dangerous list what they
// permit; harmless ones permit all but their exceptions.
var clientRules = []rule{
	// The page as it is shown and scripted.
	{name: "Accessibility.*"},
	{name: "Animation.*"},
	{name: "Audits.enable"},
	{name: "Audits.disable"},
	{name: "CSS.*"},
	{name: "CSS.getStyleSheetText", scan: true},
	{name: "Console.*"},
	{name: "DOM.*"},
	{name: "DOM.getOuterHTML", scan: true},
	{name: "DOM.setFileInputFiles", checkIn: checkFiles, slow: true},
	{name: "DOM.getFileInfo", refuse: readsFiles},
	{name: "DOMDebugger.*"},
	{name: "DOMSnapshot.*"},
	{name: "DOMSnapshot.captureSnapshot", scan: true},
	{name: "DOMSnapshot.getSnapshot", scan: true},
	{name: "Debugger.*"},
	{name: "Debugger.setBreakpointByUrl", check: checkBreakpoint},
	{name: "Debugger.getScriptSource", scan: true},
	{name: "Debugger.searchInContent", scan: true},
	{name: "DeviceOrientation.*"},
	{name: "Emulation.*"},
	{name: "FedCm.*"},
	{name: "Input.*"},
	{name: "Input.dispatchDragEvent", check: checkDrag},
	{name: "Inspector.*"},
	{name: "LayerTree.*"},
	{name: "Log.*"},
	{name: "Media.*"},
	{name: "Overlay.*"},
	{name: "Performance.*"},
	{name: "PerformanceTimeline.*"},
	{name: "Profiler.*"},
	// A virtual authenticator shows its private keys to clients of the same tab: the keys
	// that pages made in it and those that a client put there, never one of a person.
	{name: "WebAuthn.*"},
	{name: "Runtime.*"},
	{name: "Runtime.addBinding", check: checkBinding},
	{name: "Schema.*"},

	// The memory of pages, and what the browser does.
	{name: "HeapProfiler.*"},
	{name: "HeapProfiler.addInspectedHeapObject", refuse: agentsWorld},
	{name: "HeapProfiler.getObjectByHeapObjectId", refuse: agentsWorld},
	{name: "HeapProfiler.stopTrackingHeapObjects", check: checkNothingFilled},
	{name: "HeapProfiler.takeHeapSnapshot", check: checkNothingFilled},
	{name: "Memory.getDOMCounters"},
	{name: "Memory.getDOMCountersForLeakDetection"},
	{name: "Memory.prepareForLeakDetection"},
	{name: "Tracing.end"},
	{name: "Tracing.getCategories"},
	{name: "Tracing.recordClockSyncMarker"},
	{name: "Tracing.requestMemoryDump", refuse: seesMachine},
	{name: "Tracing.start", check: checkTrace},

	// What pages store.
	{name: "CacheStorage.*"},
	{name: "CacheStorage.requestCachedResponse", scan: true},
	{name: "CacheStorage.requestEntries", scan: true},
	{name: "DOMStorage.*"},
	{name: "DOMStorage.getDOMStorageItems", scan: true},
	{name: "IndexedDB.*"},
	{name: "IndexedDB.requestData", scan: true},
	{name: "Storage.clearCookies"},
	{name: "Storage.clearDataForOrigin"},
	{name: "Storage.clearDataForStorageKey"},
	{name: "Storage.getCookies"},
	{name: "Storage.getStorageKey"},
	{name: "Storage.getStorageKeyForFrame"},
	{name: "Storage.getUsageAndQuota"},
	{name: "Storage.setCookies"},

	// The browser: how it is sized and what it grants pages.
	{name: "Browser.getGlobalPrivacyControl"},
	{name: "Browser.getVersion"},
	{name: "Browser.getWindowBounds"},
	{name: "Browser.getWindowForTarget"},
	{name: "Browser.grantPermissions"},
	{name: "Browser.resetPermissions"},
	{name: "Browser.setContentsSize"},
	{name: "Browser.setGlobalPrivacyControl"},
	{name: "Browser.setPermission"},
	{name: "Browser.setWindowBounds"},
	{name: "Browser.cancelDownload"},
	{name: "Browser.close", ignore: endsRuntime}, // the client's own end: copyMessages
	{name: "Browser.crash", refuse: endsRuntime},
	{name: "Browser.crashGpuProcess", refuse: endsRuntime},
	{name: "Browser.executeBrowserCommand", refuse: seesMachine},
	// Rod looks there for whether the browser has windows.
	{name: "Browser.getBrowserCommandLine", check: answerCommandLine},
	{name: "Browser.setDownloadBehavior", checkIn: answerDownloads},

	// Streams: a client reads those that its own commands opened.
	{name: "IO.close", check: checkStream},
	{name: "IO.read", check: checkRead},

	// Requests: seen, and intercepted but for those that have to do with a fill.
	{name: "Fetch.enable"},
	{name: "Fetch.disable"},
	{name: "Fetch.continueRequest", checkIn: checkChanged},
	{name: "Fetch.continueResponse", checkIn: checkPaused},
	{name: "Fetch.continueWithAuth", checkIn: checkPaused},
	{name: "Fetch.failRequest", checkIn: checkPaused},
	{name: "Fetch.fulfillRequest", checkIn: checkPaused},
	{name: "Fetch.getResponseBody", checkIn: checkPaused, scan: true},
	{name: "Fetch.takeResponseBodyAsStream", checkIn: checkPaused},
	{name: "Network.canClearBrowserCache"},
	{name: "Network.canClearBrowserCookies"},
	{name: "Network.canEmulateNetworkConditions"},
	{name: "Network.clearBrowserCache"},
	{name: "Network.clearBrowserCookies"},
	{name: "Network.deleteCookies"},
	{name: "Network.disable"},
	{name: "Network.emulateNetworkConditions"},
	{name: "Network.emulateNetworkConditionsByRule"},
	{name: "Network.enable", check: dropPostData},
	{name: "Network.enableReportingApi"},
	{name: "Network.getAllCookies"},
	{name: "Network.getCertificate"},
	{name: "Network.getCookies"},
	{name: "Network.getResponseBody", check: checkCarriesNoFill, scan: true},
	{name: "Network.getSecurityIsolationStatus"},
	{name: "Network.overrideNetworkState"},
	{name: "Network.searchInResponseBody", check: checkCarriesNoFill, scan: true},
	{name: "Network.setBlockedURLs"},
	{name: "Network.setBypassServiceWorker"},
	{name: "Network.setCacheDisabled"},
	{name: "Network.setCookie"},
	{name: "Network.setCookies"},
	{name: "Network.setExtraHTTPHeaders"},
	{name: "Network.setUserAgentOverride"},
	{name: "Network.streamResourceContent", check: checkPieces, scan: true},
	{name: "Network.continueInterceptedRequest", refuse: oldFetch},
	{name: "Network.getRequestPostData", check: checkCarriesNoFill, scan: true},
	{name: "Network.getResponseBodyForInterception", refuse: oldFetch},
	{name: "Network.loadNetworkResource", check: checkResource},
	{name: "Network.replayXHR", refuse: resendsFill},
	{name: "Network.setRequestInterception", refuse: oldFetch},
	{name: "Network.takeResponseBodyForInterceptionAsStream", refuse: oldFetch},

	{name: "Page.addScriptToEvaluateOnNewDocument"},
	{name: "Page.addScriptToEvaluateOnLoad"},
	{name: "Page.bringToFront"},
	{name: "Page.captureScreenshot"},
	{name: "Page.captureSnapshot", scan: true},
	{name: "Page.clearDeviceMetricsOverride"},
	{name: "Page.close"},
	{name: "Page.createIsolatedWorld"},
	{name: "Page.disable"},
	{name: "Page.enable"},
	{name: "Page.generateTestReport"},
	{name: "Page.getAppManifest", scan: true},
	{name: "Page.getFrameTree"},
	{name: "Page.getInstallabilityErrors"},
	{name: "Page.getLayoutMetrics"},
	{name: "Page.getNavigationHistory"},
	{name: "Page.getPermissionsPolicyState"},
	{name: "Page.getResourceContent", scan: true},
	{name: "Page.getResourceTree"},
	{name: "Page.handleJavaScriptDialog"},
	{name: "Page.navigate", check: checkNavigation},
	{name: "Page.navigateToHistoryEntry"},
	{name: "Page.printToPDF", checkIn: printPage, slow: true},
	{name: "Page.reload"},
	{name: "Page.removeScriptToEvaluateOnLoad"},
	{name: "Page.removeScriptToEvaluateOnNewDocument"},
	{name: "Page.resetNavigationHistory"},
	{name: "Page.screencastFrameAck"},
	{name: "Page.searchInResource", scan: true},
	{name: "Page.setAdBlockingEnabled"},
	{name: "Page.setBypassCSP"},
	{name: "Page.setDeviceMetricsOverride"},
	{name: "Page.setDocumentContent"},
	{name: "Page.setFontFamilies"},
	{name: "Page.setFontSizes"},
	{name: "Page.setLifecycleEventsEnabled"},
	{name: "Page.setRPHRegistrationMode"},
	{name: "Page.setSPCTransactionMode"},
	{name: "Page.setTouchEmulationEnabled"},
	{name: "Page.setWebLifecycleState"},
	{name: "Page.startScreencast"},
	{name: "Page.stopLoading"},
	{name: "Page.stopScreencast"},
	{name: "Page.crash", refuse: endsTab},
	{name: "Page.setDownloadBehavior", ignore: ownsFiles},
	{name: "Page.setInterceptFileChooserDialog"},

	{name: "Security.disable"},
	{name: "Security.enable"},
	{name: "Security.setIgnoreCertificateErrors", check: checkCertificates},

	// Tabs: a runtime is one browser, so all of its tabs are the client's own.
	{name: "Target.activateTarget"},
	{name: "Target.attachToBrowserTarget"},
	{name: "Target.attachToTarget", check: checkFlat},
	{name: "Target.autoAttachRelated"},
	{name: "Target.closeTarget"},
	{name: "Target.createBrowserContext", check: checkNewContext},
	{name: "Target.createTarget", check: checkNavigation},
	{name: "Target.detachFromTarget", check: checkOwnSession},
	{name: "Target.disposeBrowserContext", check: checkOwnContext},
	{name: "Target.getBrowserContexts"},
	{name: "Target.getTargetInfo"},
	{name: "Target.getTargets"},
	{name: "Target.setAutoAttach", check: checkFlat},
	{name: "Target.setDiscoverTargets"},
	{name: "Target.exposeDevToolsProtocol", refuse: exposes},
	{name: "Target.getDevToolsTarget", refuse: seesMachine},
	{name: "Target.openDevTools", refuse: seesMachine},
	{name: "Target.sendMessageToTarget", refuse: exposes},
	{name: "Target.setRemoteLocations", ignore: passesProxy},

	// Refused as a whole, and said why; what is not named here is refused too.
	{name: "Cast.*", refuse: passesProxy},
	{name: "Extensions.*", refuse: readsFiles},
	{name: "FileSystem.*", refuse: readsFiles},
	{name: "Memory.*", refuse: seesMachine},
	{name: "PWA.*", refuse: readsFiles},
	{name: "ServiceWorker.*", refuse: ownsWorkers},
	{name: "SystemInfo.*", refuse: seesMachine},
	{name: "Tethering.*", refuse: passesProxy},
}
