"use strict";

const passwordStep = document.getElementById("password-step");
const codeStep = document.getElementById("code-step");
const message = document.getElementById("message");

// post sends a form as JSON and returns what comes next: "code" or "done".
async function post(url, form) {
  const answer = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(Object.fromEntries(new FormData(form))),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body.step;
}

// onSubmit sends the form without leaving the page and shows what went wrong.
function onSubmit(form, url, then) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    message.textContent = "";
    try {
      then(await post(url, form));
    } catch (error) {
      message.textContent = error.message;
      form.reset();
      form.querySelector("input").focus();
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit(passwordStep, "/api/login", () => {
  passwordStep.reset();
  passwordStep.hidden = true;
  codeStep.hidden = false;
  document.getElementById("code").focus();
});

onSubmit(codeStep, "/api/login/code", () => location.assign("/pipeline"));
