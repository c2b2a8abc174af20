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
}

// The reasons that many rows share.
const (
	endsRuntime = "it would end the runtime: stop the runtime instead"
	readsFiles  = "it would hand files of the machine to a page"
	ownsFetch   = "request interception is the server's: it fills secrets there"
	ownsFiles   = "downloads are the server's: they go to the mounted storage"
	seesMachine = "it shows the machine, not the page"
	passesProxy = "it would reach the network past the egress policy"
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
	{name: "Console.*"},
	{name: "DOM.*"},
	{name: "DOM.setFileInputFiles", checkIn: checkFiles, slow: true},
	{name: "DOM.getFileInfo", refuse: readsFiles},
	{name: "DOMDebugger.*"},
	{name: "DOMSnapshot.*"},
	{name: "Debugger.*"},
	{name: "DeviceOrientation.*"},
	{name: "Emulation.*"},
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
	{name: "Runtime.*"},
	{name: "Schema.*"},

	// What pages store.
	{name: "CacheStorage.*"},
	{name: "DOMStorage.*"},
	{name: "IndexedDB.*"},
	{name: "Storage.clearCookies"},
	{name: "Storage.clearDataForOrigin"},
	{name: "Storage.clearDataForStorageKey"},
	{name: "Storage.getCookies"},
	{name: "Storage.getStorageKey"},
	{name: "Storage.getStorageKeyForFrame"},
	{name: "Storage.getUsageAndQuota"},
	{name: "Storage.setCookies"},

	// The browser: how it is sized and what it grants pages.
	{name: "Browser.getVersion"},
	{name: "Browser.getWindowBounds"},
	{name: "Browser.getWindowForTarget"},
	{name: "Browser.grantPermissions"},
	{name: "Browser.resetPermissions"},
	{name: "Browser.setContentsSize"},
	{name: "Browser.setPermission"},
	{name: "Browser.setWindowBounds"},
	{name: "Browser.cancelDownload"},
	{name: "Browser.close", ignore: endsRuntime}, // the client's own end: copyMessages
	{name: "Browser.crash", refuse: endsRuntime},
	{name: "Browser.crashGpuProcess", refuse: endsRuntime},
	{name: "Browser.executeBrowserCommand", refuse: seesMachine},
	{name: "Browser.getBrowserCommandLine", refuse: seesMachine},
	{name: "Browser.setDownloadBehavior", checkIn: answerDownloads},

	// Streams: a client reads those that its own commands opened.
	{name: "IO.close", check: checkStream},
	{name: "IO.read", check: checkStream},

	// Requests: seen, not intercepted.
	{name: "Network.canClearBrowserCache"},
	{name: "Network.canClearBrowserCookies"},
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
	{name: "Network.getResponseBody", check: checkCarriesNoFill},
	{name: "Network.getSecurityIsolationStatus"},
	{name: "Network.overrideNetworkState"},
	{name: "Network.searchInResponseBody", check: checkCarriesNoFill},
	{name: "Network.setBlockedURLs"},
	{name: "Network.setBypassServiceWorker"},
	{name: "Network.setCacheDisabled"},
	{name: "Network.setCookie"},
	{name: "Network.setCookies"},
	{name: "Network.setExtraHTTPHeaders"},
	{name: "Network.setUserAgentOverride"},
	{name: "Network.streamResourceContent", check: checkCarriesNoFill},
	{name: "Network.continueInterceptedRequest", refuse: ownsFetch},
	{name: "Network.getRequestPostData", refuse: ownsFetch},
	{name: "Network.getResponseBodyForInterception", refuse: ownsFetch},
	{name: "Network.loadNetworkResource", refuse: readsFiles},
	{name: "Network.replayXHR", refuse: ownsFetch},
	{name: "Network.setRequestInterception", refuse: ownsFetch},
	{name: "Network.takeResponseBodyForInterceptionAsStream", refuse: ownsFetch},
	{name: "Fetch.*", refuse: ownsFetch},

	{name: "Page.addScriptToEvaluateOnNewDocument"},
	{name: "Page.addScriptToEvaluateOnLoad"},
	{name: "Page.bringToFront"},
	{name: "Page.captureScreenshot"},
	{name: "Page.captureSnapshot"},
	{name: "Page.clearDeviceMetricsOverride"},
	{name: "Page.close"},
	{name: "Page.createIsolatedWorld"},
	{name: "Page.disable"},
	{name: "Page.enable"},
	{name: "Page.getAppManifest"},
	{name: "Page.getFrameTree"},
	{name: "Page.getInstallabilityErrors"},
	{name: "Page.getLayoutMetrics"},
	{name: "Page.getNavigationHistory"},
	{name: "Page.getPermissionsPolicyState"},
	{name: "Page.getResourceContent"},
	{name: "Page.getResourceTree"},
	{name: "Page.handleJavaScriptDialog"},
	{name: "Page.navigate", check: checkNavigation},
	{name: "Page.navigateToHistoryEntry"},
	{name: "Page.printToPDF"},
	{name: "Page.reload"},
	{name: "Page.removeScriptToEvaluateOnLoad"},
	{name: "Page.removeScriptToEvaluateOnNewDocument"},
	{name: "Page.resetNavigationHistory"},
	{name: "Page.screencastFrameAck"},
	{name: "Page.searchInResource"},
	{name: "Page.setBypassCSP"},
	{name: "Page.setDeviceMetricsOverride"},
	{name: "Page.setDocumentContent"},
	{name: "Page.setFontFamilies"},
	{name: "Page.setFontSizes"},
	{name: "Page.setLifecycleEventsEnabled"},
	{name: "Page.setTouchEmulationEnabled"},
	{name: "Page.setWebLifecycleState"},
	{name: "Page.startScreencast"},
	{name: "Page.stopLoading"},
	{name: "Page.stopScreencast"},
	{name: "Page.crash", refuse: "it would end a tab that the agent may be using"},
	{name: "Page.setDownloadBehavior", ignore: ownsFiles},
	{name: "Page.setInterceptFileChooserDialog"},

	{name: "Security.disable"},
	{name: "Security.enable"},
	{
		name:   "Security.setIgnoreCertificateErrors",
		refuse: "origins are only as true as their certificates, and secrets are filled by origin",
	},

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
	{name: "Target.exposeDevToolsProtocol", refuse: "it would hand a page this protocol unfiltered"},
	{name: "Target.getDevToolsTarget", refuse: seesMachine},
	{name: "Target.openDevTools", refuse: seesMachine},
	{name: "Target.sendMessageToTarget", refuse: "nested messages pass no filter: attach with flatten"},
	{name: "Target.setRemoteLocations", refuse: passesProxy},

	// Refused as a whole, and said why; what is not named here is refused too.
	{name: "Cast.*", refuse: passesProxy},
	{name: "Extensions.*", refuse: readsFiles},
	{name: "FileSystem.*", refuse: readsFiles},
	{name: "HeapProfiler.*", refuse: "a heap may hold what was filled"},
	{name: "Memory.*", refuse: seesMachine},
	{name: "PWA.*", refuse: readsFiles},
	{name: "ServiceWorker.*", refuse: "it reaches workers that no tab of the client owns"},
	{name: "SystemInfo.*", refuse: seesMachine},
	{name: "Tethering.*", refuse: "it would listen on ports of the machine"},
	{name: "Tracing.*", refuse: "a trace holds request bodies of every tab"},
}
