"""Django's own admin behind django-two-factor-auth, with a list of contacts.

Reads {"dir", "username", "password", "seed"} from standard input, prints
{"port"} and serves until standard input ends.
"""

import csv
import base64
import json
import os
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import django
from django.conf import settings

given = json.loads(sys.stdin.readline())

BASE = "<title>{% block title %}Login{% endblock %}</title>{% block content_wrapper %}{% block content %}{% endblock %}{% endblock %}"

settings.configure(
    SECRET_KEY="a key for tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(given["dir"], "db.sqlite3")}},
    MEDIA_ROOT=os.path.join(given["dir"], "media"),
    STATIC_URL="/static/",
    LOGIN_URL="two_factor:login",
    LOGIN_REDIRECT_URL="/admin/",
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.staticfiles",
        "django.contrib.admin",
        "django_otp",
        "django_otp.plugins.otp_static",
        "django_otp.plugins.otp_totp",
        "two_factor",
    ],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django_otp.middleware.OTPMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    # The page around the forms, without what theirs takes from other hosts.
                    ("django.template.loaders.locmem.Loader", {"two_factor/_base.html": BASE}),
                    "django.template.loaders.app_directories.Loader",
                ],
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
)
django.setup()

from django.contrib import admin  # noqa: E402
from django.contrib.auth import get_user_model  # noqa: E402
from django.contrib.staticfiles.handlers import StaticFilesHandler  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402
from two_factor.admin import AdminSiteOTPRequired  # noqa: E402
from two_factor.urls import urlpatterns as two_factor_urls  # noqa: E402


class Contact(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField()
    contract = models.FileField(upload_to="contracts", blank=True)

    class Meta:
        app_label = "auth"

    def __str__(self):
        return self.name


class ContactAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "contract"]
    search_fields = ["name"]
    actions = ["export"]

    @admin.action(description="Export as CSV")
    def export(self, request, queryset):
        response = HttpResponse(content_type="text/csv")
        response["Content-Disposition"] = 'attachment; filename="contacts.csv"'
        writer = csv.writer(response)
        writer.writerow(["name", "email", "contract"])
        for contact in queryset:
            writer.writerow([contact.name, contact.email, os.path.basename(contact.contract.name)])
        return response


site = AdminSiteOTPRequired()
site.register(Contact, ContactAdmin)
urlpatterns = [path("", include(two_factor_urls)), path("admin/", site.urls)]

call_command("migrate", verbosity=0)
with connection.schema_editor() as editor:
    editor.create_model(Contact)
user = get_user_model().objects.create_superuser(given["username"], "bot@example.com", given["password"])
user.totpdevice_set.create(name="default", key=base64.b32decode(given["seed"]).hex(), confirmed=True)


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


server = make_server("127.0.0.1", 0, StaticFilesHandler(get_wsgi_application()), Threaded, Quiet)
print(json.dumps({"port": server.server_port}), flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
server.shutdown()
